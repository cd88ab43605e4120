"""The callback `tensorboard`: what it writes is what TensorBoard reads back."""

import io
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from capframe_tensorboard.callback import TensorBoard
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from capframe import Captioner, CaptionSample, Dataset, FeatureStore
from capframe.drawings import draw_dataset
from capframe.errors import OptionError
from capframe.sheet import picture_sheet
from capframe.testing import check_callback

SMALL = ("add-merge", {"units": 4, "embedding_size": 4})


def test_it_keeps_the_laws_of_callbacks():
    check_callback(TensorBoard)


class Told(keras.callbacks.Callback):
    """Keeps the samples of each epoch, and ends the work after some epoch, as Ctrl-C does."""

    def __init__(self, last: int | None = None) -> None:
        super().__init__()
        self.last = last
        self.samples: list[list[CaptionSample]] = []

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.last:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        self.samples.append(self.params["caption_samples"]())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the run folder, history, feature store, dataset and samples of a training on drawings."""
    folder = tmp_path_factory.mktemp("drawn")
    drawn = draw_dataset(folder, 20, seed=1)
    told = Told()
    captioner = Captioner(
        "efficientnet-lite0",
        decoder=SMALL,
        callbacks=["tensorboard", ("reduce-lr", {"patience": 1, "min_delta": 9.0}), told],
        vocabulary={"min_count": 1},
    )
    dataset = Dataset.read(drawn.captions, images=drawn.images)
    history = captioner.fit(dataset, epochs=3, features=folder / "features", out=folder / "run")
    return folder / "run", history, folder / "features", dataset, told.samples


@pytest.fixture
def captions_alone(trained):
    """Return the dataset without its pictures, and the feature store."""
    _, _, features, dataset, _ = trained
    return Dataset(dataset.captions, {}, dataset.splits), FeatureStore(features)


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    return [
        (event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events(folder).Tensors(name)
    ]


def test_losses_and_learning_rate_are_those_of_the_history(trained):
    run, history, _, _, _ = trained
    for split, tag, name in (
        ("train", "loss", "loss"),
        ("validation", "loss", "val_loss"),
        ("train", "learning_rate", "learning_rate"),
    ):
        expected = [(int(logs["epoch"]), pytest.approx(logs[name], rel=1e-6)) for logs in history]
        assert scalars(run / "tensorboard" / split, tag) == expected
    assert len({logs["learning_rate"] for logs in history}) > 1


def test_sample_captions_stand_under_their_pictures_after_each_epoch(trained, tmp_path):
    run, _, _, dataset, told = trained
    written = events(run / "tensorboard" / "samples")
    texts, images = (
        [(event.step, tf.make_ndarray(event.tensor_proto).ravel()[-1]) for event in written.Tensors(tag)]
        for tag in ("captions", "pictures")
    )
    assert [step for step, _ in texts] == [step for step, _ in images] == [1, 2, 3]
    for samples, (_, text), (_, image) in zip(told, texts, images, strict=True):
        assert [sample.image for sample in samples] == list(dataset.splits["dev"])
        rows = [f"| {sample.image} | {sample.caption} |" for sample in samples]
        assert text.decode().splitlines()[2:] == rows
        shown = [(sample.picture, sample.caption, None) for sample in samples]
        with Image.open(picture_sheet(shown, tmp_path / "sheet.png")) as sheet:
            np.testing.assert_array_equal(Image.open(io.BytesIO(image)).convert("RGB"), sheet.convert("RGB"))


def test_a_resumed_training_with_a_schedule_goes_on_in_the_same_charts(captions_alone, tmp_path):
    dataset, store = captions_alone

    def fit(told, **options):
        callbacks = [("tensorboard", {"samples": False}), told]
        training = {"schedule": "cosine", "warm_up": 0.5, "batch_size": 4, "epochs": 3}
        captioner = Captioner(decoder=SMALL, callbacks=callbacks, training=training)
        return captioner.fit(dataset, features=store, out=tmp_path / "run", **options)

    with pytest.raises(KeyboardInterrupt):
        fit(Told(last=2))
    history = fit(Told(), resume=True)
    charts = tmp_path / "run" / "tensorboard"
    assert sorted(path.name for path in charts.iterdir()) == ["train", "validation"]  # samples were left out
    for split, tag, name in (("validation", "loss", "val_loss"), ("train", "learning_rate", "learning_rate")):
        expected = [(step, pytest.approx(history[step - 1][name])) for step in (1, 2, 3)]
        assert scalars(charts / split, tag) == expected


def test_without_pictures_the_captions_are_written_alone(captions_alone, tmp_path):
    dataset, store = captions_alone
    captioner = Captioner(decoder=SMALL, callbacks=[("tensorboard", {"folder": "logs/here"})])
    captioner.fit(dataset, epochs=1, features=store, out=tmp_path / "run")
    written = events(tmp_path / "run" / "logs" / "here" / "samples")
    assert written.Tags()["tensors"] == ["captions"]


def test_signs_of_markdown_stand_in_the_table_as_they_are(tmp_path):
    callback, model = TensorBoard(), keras.Sequential([keras.layers.Dense(1)])
    model.compile("adam")
    callback.set_model(model)
    samples = [CaptionSample("a|_b.png", None, "*une* l'été")]
    callback.set_params({"run_folder": tmp_path, "caption_samples": lambda: samples})
    callback.on_train_batch_end(0)
    callback.on_epoch_end(0)
    callback.on_train_end()
    (event,) = events(tmp_path / "tensorboard" / "samples").Tensors("captions")
    row = tf.make_ndarray(event.tensor_proto).item().decode().splitlines()[-1]
    assert row == "| a&#124;&#95;b.png | &#42;une&#42; l'été |"


@pytest.mark.parametrize("folder", ["..", "a/../../b", "/tmp", "", "."])
def test_a_folder_elsewhere_is_refused(folder):
    with pytest.raises(OptionError, match="folder="):
        TensorBoard(folder=folder)
