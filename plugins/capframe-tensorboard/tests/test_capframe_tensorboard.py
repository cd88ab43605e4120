"""The callback `tensorboard`: what it writes is what TensorBoard reads back."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from capframe_tensorboard.callback import TensorBoard
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from capframe import Captioner, Dataset, FeatureStore
from capframe.drawings import draw_dataset
from capframe.errors import OptionError
from capframe.testing import check_callback

SMALL = ("add-merge", {"units": 4, "embedding_size": 4})


def test_it_keeps_the_laws_of_callbacks():
    check_callback(TensorBoard)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the run folder, history and feature store of a training on drawings."""
    folder = tmp_path_factory.mktemp("drawn")
    drawn = draw_dataset(folder, 20, seed=1)
    captioner = Captioner(
        "efficientnet-lite0",
        decoder=SMALL,
        callbacks=["tensorboard", ("reduce-lr", {"patience": 1, "min_delta": 9.0})],
        vocabulary={"min_count": 1},
    )
    dataset = Dataset.read(drawn.captions, images=drawn.images)
    history = captioner.fit(dataset, epochs=3, features=folder / "features", out=folder / "run")
    return folder / "run", history, folder / "features", dataset


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    return [
        (event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events(folder).Tensors(name)
    ]


def test_losses_and_learning_rate_are_those_of_the_history(trained):
    run, history, _, _ = trained
    for split, tag, name in (
        ("train", "loss", "loss"),
        ("validation", "loss", "val_loss"),
        ("train", "learning_rate", "learning_rate"),
    ):
        expected = [(int(logs["epoch"]), pytest.approx(logs[name], rel=1e-6)) for logs in history]
        assert scalars(run / "tensorboard" / split, tag) == expected
    assert len({logs["learning_rate"] for logs in history}) > 1


def test_sample_captions_stand_under_their_pictures_after_each_epoch(trained):
    run, history, _, dataset = trained
    written = events(run / "tensorboard" / "samples")
    texts, images = (
        [tf.make_ndarray(event.tensor_proto).ravel()[-1] for event in written.Tensors(tag)]
        for tag in ("captions", "pictures")
    )
    assert len(texts) == len(images) == len(history)
    for name in dataset.splits["dev"]:
        assert name in texts[-1].decode()
    sheet = np.asarray(Image.open(io.BytesIO(images[-1])).convert("RGB"))
    assert sheet.shape[1] > 400
    assert sheet.std() > 10


def test_without_pictures_the_captions_are_written_alone(trained, tmp_path):
    _, _, features, dataset = trained
    store = FeatureStore(features)
    captioner = Captioner(decoder=SMALL, callbacks=[("tensorboard", {"folder": "logs/here"})])
    captioner.fit(
        Dataset(dataset.captions, {}, dataset.splits), epochs=1, features=store, out=tmp_path / "run"
    )
    assert list((tmp_path / "run" / "logs" / "here" / "samples").iterdir())


def test_samples_can_be_left_out(trained, tmp_path):
    _, _, features, dataset = trained
    captioner = Captioner(decoder=SMALL, callbacks=[("tensorboard", {"samples": False})])
    captioner.fit(
        Dataset(dataset.captions, {}, dataset.splits), epochs=1, features=features, out=tmp_path / "run"
    )
    found = sorted(path.name for path in (tmp_path / "run" / "tensorboard").iterdir())
    assert found == ["train", "validation"]


@pytest.mark.parametrize("folder", ["..", "a/../../b", "/tmp", "", "."])
def test_a_folder_elsewhere_is_refused(folder):
    with pytest.raises(OptionError, match="folder="):
        TensorBoard(folder=folder)
