"""Killed with SIGKILL at random moments, extraction and training end as if nothing had happened."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from capframe.features import FeatureStore

KILLS = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows"),
]

KILLED = """
    import os, signal, sys, threading, time
    from pathlib import Path
    import numpy as np

    folder, moment = Path(sys.argv[1]), float(sys.argv[2])

    def kill_myself():
        time.sleep(moment)
        os.kill(os.getpid(), signal.SIGKILL)

    def start_the_clock():
        if moment >= 0:
            threading.Thread(target=kill_myself, daemon=True).start()
"""

EXTRACTION = """
    from capframe.feature_filling import extract_features
    from capframe.features import FeatureSource

    class Means:
        image_size, feature_shape = (4, 4), (3,)

        def __call__(self, images):
            time.sleep(0.002)
            (folder / "looked_at").open("a").write("".join(f"{image[0, 0, 0]}\\n" for image in images))
            return images.mean(axis=(1, 2), dtype=np.float32) / 7

    images = {f"{level}.png": np.full((4, 4, 3), level, np.uint8) for level in range(250)}
    start_the_clock()
    source = FeatureSource("means", {}, (3,))
    extract_features(Means(), source, images, folder / "store", batch_size=2, part_size=4)
"""

TRAINING = """
    from capframe import Captioner, Dataset, FeatureStore, PluginManager, Registry
    from capframe.features import FeatureSource

    names = [f"{number}.png" for number in range(40)]
    if not FeatureStore.exists(folder / "store"):
        store = FeatureStore.create(folder / "store", FeatureSource("imported", {"feature_shape": [4]}, (4,)))
        store.add(names, np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    captions = {name: (f"a {'red' if int(name[:-4]) % 2 else 'blue'} thing", "a picture") for name in names}
    captioner = Captioner(
        ("imported", {"feature_shape": [4]}),
        decoder=("add-merge", {"units": 8, "embedding_size": 8, "dropout": 0.4}),
        callbacks=["checkpoint", ("reduce-lr", {"patience": 1, "min_delta": 0.05})],
        vocabulary={"min_count": 1},
        training={"epochs": 40, "batch_size": 4, "learning_rate": 0.01},
        registry=Registry(PluginManager(disabled={"*"})),
    )
    dataset = Dataset(captions, {}, {"train": tuple(names[:32]), "dev": tuple(names[32:])})
    fit = captioner.fit
    import capframe.training
    compile_steps = capframe.training.compile_steps

    def compiled(*arguments):  # the clock runs while training does, not while TensorFlow is imported
        start_the_clock()
        return compile_steps(*arguments)

    capframe.training.compile_steps = compiled
    captioner.fit(dataset, features=folder / "store", out=folder / "run", resume=True)
"""


def run(program: str, folder: Path, moment: float = -1) -> bool:
    """Run a program that kills itself after so many seconds; return whether it ended on its own."""
    source = textwrap.dedent(KILLED) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", source, str(folder), str(moment)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == 0


def killed_often(program: str, scratch: Path, longest: float) -> Iterator[tuple[Path, int]]:
    """Kill a program at random moments, `KILLS` times in all, and let it end.

    Yields:
        A folder in which it ended, and how often it was killed there: it may end between two kills, and then
        another one is begun.
    """
    moments = random.Random(0)
    left = KILLS
    while left:
        folder = Path(tempfile.mkdtemp(dir=scratch))
        kills, ended = 0, False
        while left and not ended:
            ended = run(program, folder, moments.uniform(0, longest))
            kills, left = kills + (not ended), left - (not ended)
        if not ended:
            run(program, folder)
        yield folder, kills


def test_a_killed_extraction_loses_nothing_and_does_nothing_twice(tmp_path):
    run(EXTRACTION, tmp_path)
    names = [f"{level}.png" for level in range(250)]
    expected = FeatureStore(tmp_path / "store").gather(names)
    for folder, kills in killed_often(EXTRACTION, tmp_path, longest=0.03):
        np.testing.assert_array_equal(FeatureStore(folder / "store").gather(names), expected)
        stored = []
        for part in (folder / "store").glob("*.arrow"):
            with pa.memory_map(str(part)) as file:
                stored += pa.ipc.open_file(file).read_all()["image"].to_pylist()
        assert sorted(stored) == sorted(names)
        # Two batches make a part: with each kill no more is lost than the part that was open.
        assert len((folder / "looked_at").read_text().split()) <= 250 + 4 * kills


def test_a_killed_training_ends_with_the_losses_of_one_that_was_not(tmp_path):
    def history(folder: Path) -> np.ndarray:
        return np.genfromtxt(folder / "run" / "history.csv", delimiter=",", skip_header=1)[:, :4]

    def files(folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    whole = tmp_path / "whole"
    whole.mkdir()
    run(TRAINING, whole)
    for folder, _ in killed_often(TRAINING, tmp_path, longest=1.6):
        np.testing.assert_allclose(history(folder), history(whole), rtol=0, atol=1e-6)
        assert files(folder / "run") == files(whole / "run")
        assert files(folder) == ["run", "store"]
