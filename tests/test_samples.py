"""Sample captions: callbacks see what the decoder says while it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from capframe import Captioner, Dataset, Registry
from capframe.samples import SAMPLES, SIDE


def test_callbacks_see_pictures_of_the_dev_split_with_the_captions_of_the_moment(
    registry: Registry, tmp_path: Path
) -> None:
    import keras

    seen: list[Any] = []

    class Looking(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(self.params["caption_samples"]())

    colours = ["red", "lime"]
    names = [f"{number:02}.png" for number in range(36)]
    for number, name in enumerate(names):
        Image.new("RGB", (40, 20), colours[number % 2]).save(tmp_path / name)
    dataset = Dataset(
        {name: (f"all {colours[number % 2]}",) for number, name in enumerate(names)},
        {name: tmp_path / name for name in names},
        {"train": tuple(names[:24]), "dev": tuple(names[24:])},
    )
    captioner = Captioner(
        "quarter-colours",
        decoder=("add-merge", {"units": 8, "embedding_size": 8, "dropout": 0.0}),
        callbacks=[Looking()],
        vocabulary={"min_count": 1},
        training={"epochs": 25, "batch_size": 8, "learning_rate": 0.03},
        registry=registry,
    )
    captioner.fit(dataset)

    assert [len(samples) for samples in seen] == [SAMPLES] * 25
    assert [sample.image for sample in seen[0]] == names[24 : 24 + SAMPLES]
    assert [sample.caption for sample in seen[-1]] == ["all red", "all lime"] * (SAMPLES // 2)
    assert [sample.caption for sample in seen[0]] != [sample.caption for sample in seen[-1]]
    assert seen[-1][1].picture.shape == (SIDE // 2, SIDE, 3)
    assert tuple(seen[-1][1].picture[50, 50]) == (0, 255, 0)


def test_without_pictures_there_are_captions_still(registry: Registry, tmp_path: Path) -> None:
    import keras
    import numpy as np

    from capframe import FeatureStore
    from capframe.features import FeatureSource

    seen: list[Any] = []

    class Looking(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.extend(self.params["caption_samples"]())

    store = FeatureStore.create(tmp_path, FeatureSource("imported", {"feature_shape": [2]}, (2,)))
    store.add(["a", "b", "c"], np.eye(3, 2, dtype=np.float32))
    dataset = Dataset(dict.fromkeys("abc", ("one word",)), {}, {"train": ("a", "b", "c")})
    Captioner(
        ("imported", {"feature_shape": [2]}),
        decoder=("add-merge", {"units": 2, "embedding_size": 2}),
        callbacks=[Looking()],
        vocabulary={"min_count": 1},
        registry=registry,
    ).fit(dataset, features=store, epochs=1)
    assert [(sample.image, sample.picture) for sample in seen] == [("a", None), ("b", None), ("c", None)]
    assert all(isinstance(sample.caption, str) for sample in seen)
