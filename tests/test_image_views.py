from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from capframe import Captioner, Dataset, FeatureStore, PluginManager, Registry
from capframe.batches import CaptionBatches
from capframe.errors import TrainingError
from capframe.feature_filling import extract_features
from capframe.features import FeatureSource
from capframe.image_views import View, view_name, views_of
from capframe.images import read_image
from capframe.vocabulary import Vocabulary

Array = NDArray[Any]


def gradient(height: int = 60, width: int = 80) -> Array:
    """Draw a picture that is redder to the right and greener to the bottom."""
    red, green = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
    return np.stack([red, green, np.zeros_like(red)], axis=-1).astype(np.uint8)


def test_the_first_view_is_the_mirrored_picture() -> None:
    picture = gradient()
    mirrored = read_image(View(picture, "a.jpg", 1), (30, 40))
    np.testing.assert_array_equal(mirrored, read_image(picture, (30, 40))[:, ::-1])
    np.testing.assert_array_equal(
        read_image(View(View(picture, "a.jpg", 1), "a.jpg", 1), (30, 40)), read_image(picture, (30, 40))
    )


@pytest.mark.parametrize(("number", "mirrored"), [(2, False), (3, True), (4, False)])
def test_other_views_show_a_part_of_the_picture_undistorted(number: int, mirrored: bool) -> None:
    view = read_image(View(gradient(), "a.jpg", number), (30, 40)).astype(int)
    assert view.shape == (30, 40, 3)
    across, down = view[15, :, 0], view[:, 20, 1]
    rise = np.diff(across) if not mirrored else -np.diff(across)
    assert (rise >= 0).all()
    assert (np.diff(down) >= 0).all()
    # Both sides show the same share of the picture: from 75 to 95 % of the 250 steps.
    for span in (abs(across[-1] - across[0]), down[-1] - down[0]):
        assert 0.7 * 250 < span < 0.97 * 250
    assert abs(abs(across[-1] - across[0]) - (down[-1] - down[0])) < 20


def test_a_view_is_the_same_every_time_and_another_for_another_picture() -> None:
    one, again, other = (
        read_image(View(gradient(), name, 2), (30, 40)) for name in ("a.jpg", "a.jpg", "b.jpg")
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_views_have_names_of_their_own() -> None:
    views = views_of({"a.jpg": b"a", "b.jpg": b"b"}, 2)
    assert list(views) == ["a.jpg#view1", "a.jpg#view2", "b.jpg#view1", "b.jpg#view2"]
    assert views["b.jpg#view2"] == View(b"b", "b.jpg", 2)
    assert view_name("a.jpg", 0) == "a.jpg"
    assert views_of({"a.jpg": b"a"}, 0) == {}


def seen_in(batches: CaptionBatches, epoch: int | None) -> list[int]:
    return [int(row[0]) for batch in batches.epoch(epoch) for row in batch.features]


def test_each_epoch_takes_one_view_of_each_picture() -> None:
    vocabulary = Vocabulary.build(["a b"], min_count=1)

    def batches(seed: int = 3, views: int = 3) -> CaptionBatches:
        return CaptionBatches(
            [["a b"]] * 40, vocabulary, lambda rows: rows[:, None].astype(np.float32), seed=seed, views=views
        )

    first, second = seen_in(batches(), 0), seen_in(batches(), 1)
    assert sorted(number % 40 for number in first) == list(range(40))
    assert {number // 40 for number in first} == {0, 1, 2}
    assert sorted(first) != sorted(second)
    assert first == seen_in(batches(), 0)
    assert seen_in(batches(), None) == list(range(40))
    # Of one view, the order is what it was before there were views.
    assert [number % 40 for number in first] == seen_in(batches(views=1), 0)


class MeanColour:
    """Features of a picture: its mean colour, and whether it is redder on the left."""

    image_size = (12, 16)
    feature_shape = (4,)

    def __call__(self, images: Array) -> Array:
        means = images.mean(axis=(1, 2))
        turn = images[:, :, :4, 0].mean(axis=(1, 2)) > images[:, :, -4:, 0].mean(axis=(1, 2))
        return np.concatenate([means, turn[:, None]], axis=1).astype(np.float32)


def dataset(folder: Path) -> Dataset:
    from PIL import Image

    folder.mkdir()
    paths = {}
    for number in range(6):
        paths[f"{number}.png"] = folder / f"{number}.png"
        Image.fromarray(gradient(40 + number, 50)).save(paths[f"{number}.png"])
    return Dataset(
        dict.fromkeys(paths, ("a gradient",)),
        image_paths=paths,
        splits={"train": tuple(paths)[:4], "dev": tuple(paths)[4:]},
    )


def captioner(**training: Any) -> Captioner:
    return Captioner(
        MeanColour(),
        decoder=("add-merge", {"units": 4, "embedding_size": 4}),
        callbacks=(),
        vocabulary={"min_count": 1},
        training={"epochs": 2, **training},
        registry=Registry(PluginManager(strict=True, disabled={"*"})),
    )


def test_training_extracts_the_views_of_training_pictures_alone(tmp_path: Path) -> None:
    data = dataset(tmp_path / "pictures")
    captioner(views=3).fit(data, features=tmp_path / "store")
    store = FeatureStore(tmp_path / "store")
    assert len(store) == 6 + 2 * 4
    assert store.gather(["0.png"])[0, 3] == 0
    assert store.gather(["0.png#view1"])[0, 3] == 1
    assert "5.png#view1" not in store
    # A training that asks for fewer finds them there.
    captioner().fit(data, features=tmp_path / "store")
    assert len(FeatureStore(tmp_path / "store")) == 14


class Interrupted(MeanColour):
    """Stops after two batches."""

    batches = 0

    def __call__(self, images: Array) -> Array:
        self.batches += 1
        if self.batches > 2:
            raise KeyboardInterrupt
        return super().__call__(images)


def test_an_interrupted_extraction_of_views_goes_on_and_loses_none(tmp_path: Path) -> None:
    data = dataset(tmp_path / "pictures")
    views = views_of(data.image_paths, 2)
    source = FeatureSource("mean-colour", {}, (4,))
    whole = extract_features(MeanColour(), source, views, tmp_path / "whole", batch_size=3)
    with pytest.raises(KeyboardInterrupt):
        extract_features(Interrupted(), source, views, tmp_path / "store", batch_size=3)
    before = FeatureStore(tmp_path / "store")
    assert 0 < len(before) < len(views) == 12

    after = extract_features(MeanColour(), source, views, tmp_path / "store", batch_size=3)

    assert set(after.names) == set(views)
    assert len(after.part_files) > len(before.part_files)
    np.testing.assert_array_equal(after.gather(list(views)), whole.gather(list(views)))


def test_views_that_cannot_be_extracted_are_missed_by_name(tmp_path: Path) -> None:
    data = dataset(tmp_path / "pictures")
    captioner().fit(data, features=tmp_path / "store")
    without = Dataset(data.captions, splits=data.splits)
    with pytest.raises(TrainingError, match=r"features of its 3 views \(training.views\)"):
        captioner(views=3).fit(without, features=tmp_path / "store")
