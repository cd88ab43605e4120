"""Train on drawn captions and drawn features of as many pictures as are asked for; print the peak of memory.

What counts is the memory that the process has for itself: pages of mapped files, which the system drops when
it needs room, do not. However many pictures there are, as many batches are computed: TensorFlow keeps what it
prepares for each new shape of a batch, some 60 MB in the first few thousand batches of any training.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from drawn import drawn_captions, drawn_features

WIDTH, STEPS, WATCHED, PART, WORDS = 64, 20, 1_000, 10_000, 2_400


def resident() -> int:
    """Return the bytes that this process has for itself."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", text)[1])


def main(pictures: int) -> None:
    """Write a caption file and a store part by part, train some steps from them, and print the peak."""
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, whose memory is not counted.
        subprocess.run([sys.executable, __file__, str(pictures), folder], check=True)
        from capframe import Captioner, Dataset

        peak, done = [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                peak[0] = max(peak[0], resident())

        import keras

        class Enough(keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: object = None) -> None:
                self.model.stop_training = batch + 1 >= STEPS

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        dataset = Dataset.read(Path(folder) / "captions.txt")
        watched = {"dev": dataset.splits["dev"][:WATCHED]}
        dataset = replace(dataset, splits={**dataset.splits, **watched})
        # Every word counts, so that the decoder is as large whatever the number of captions.
        captioner = Captioner(callbacks=[Enough()], vocabulary={"min_count": 1})
        captioner.fit(dataset, features=Path(folder) / "store", epochs=1)
        time.sleep(0.2)
        done.set()
        thread.join()
        print(peak[0])


def write(folder: Path, pictures: int) -> None:
    """Write ``captions.txt`` and ``store``: a part that is drawn once, again and again under other names."""
    from capframe.feature_parts import FeatureSource
    from capframe.features import FeatureStore

    source = FeatureSource("imported", {"feature_shape": [WIDTH]}, (WIDTH,), "")
    store = FeatureStore.create(folder / "store", source, "float16")
    features = drawn_features(PART, (WIDTH,))
    captions = drawn_captions(PART, words=WORDS)
    with (folder / "captions.txt").open("w") as file:
        file.write("image,caption\n")
        for first in range(0, pictures, PART):
            names = [f"{number:07d}.jpg" for number in range(first, min(first + PART, pictures))]
            store.add(names, features[: len(names)])
            for name, own in zip(names, captions, strict=False):
                file.writelines(f"{name},{text}\n" for text in own)


if __name__ == "__main__":
    size, *target = sys.argv[1:]
    if target:
        write(Path(target[0]), int(size))
    else:
        main(int(size))
