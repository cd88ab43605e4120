from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from capframe import PluginManager, Registry, Vocabulary
from capframe.batches import CaptionBatches
from capframe.errors import TrainingError, UsageError
from capframe.training import caption_losses, compile_steps, fit, validation_loss
from capframe.training_options import TrainingOptions
from capframe.vocabulary import PAD, START

Array = NDArray[Any]

WORDS = [f"word{number}" for number in range(16)]
VOCABULARY = Vocabulary(WORDS)
CAPTIONS = st.lists(st.lists(st.sampled_from([*WORDS, "rare"]), max_size=9).map(" ".join), max_size=4)


def made_captions(pictures: int) -> list[list[str]]:
    """Return one to three captions of zero to seven words for each picture."""
    random = np.random.default_rng(1)
    return [
        [" ".join(random.choice(WORDS, random.integers(0, 8))) for _ in range(random.integers(1, 4))]
        for _ in range(pictures)
    ]


def made_features(pictures: Array) -> Array:
    """Return features (6,) that can be told from the number of the picture."""
    return np.sin(np.outer(np.asarray(pictures) + 1, np.arange(1, 7))).astype(np.float32)


def batches_of(captions: list[list[str]], **options: Any) -> CaptionBatches:
    return CaptionBatches(captions, VOCABULARY, made_features, **options)


def built(seed: int = 0, features: tuple[int, ...] = (6,), **options: Any) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    chosen = {"units": 8, "embedding_size": 8, "dropout": 0.0, **options}
    decoder = Registry(PluginManager(disabled={"*"})).create("decoder", "add-merge", chosen).value
    return decoder.build(features, len(VOCABULARY))


@cache
def steps(merge: str) -> tuple[Any, Any, Any]:
    """Return a model with weights of some size, its training step and its validation step."""
    import keras

    model = built(merge=merge)
    random = np.random.default_rng(2)
    model.set_weights([random.normal(0, 0.6, weight.shape) for weight in model.get_weights()])
    model.compile(optimizer=keras.optimizers.Adam())
    return (model, *compile_steps(model))


# Batches


@given(
    captions=st.lists(CAPTIONS, min_size=1, max_size=9),
    batch_size=st.integers(1, 10),
    number=st.one_of(st.none(), st.integers(0, 50)),
)
def test_an_epoch_loses_and_repeats_no_caption(
    captions: list[list[str]], batch_size: int, number: int | None
) -> None:
    batches = CaptionBatches(
        captions, VOCABULARY, lambda pictures: pictures.astype(np.float32)[:, None], batch_size=batch_size
    )
    epoch = list(batches.epoch(number))
    assert len(epoch) == len(batches)
    assert [len(batch.features) for batch in epoch[:-1]] == [batch_size] * (len(epoch) - 1)
    pictures = [int(picture) for batch in epoch for picture in batch.features[:, 0]]
    assert sorted(pictures) == list(range(len(captions)))
    found = Counter(
        (int(batch.features[row, 0]), VOCABULARY.decode(targets))
        for batch in epoch
        for row, targets in zip(batch.pictures, batch.targets.tolist(), strict=True)
    )
    expected = Counter(
        (picture, caption.replace("rare", "<unk>"))
        for picture, group in enumerate(captions)
        for caption in group
    )
    assert found == expected
    for batch in epoch:
        assert (batch.inputs[:, 0] == START).all()
        np.testing.assert_array_equal(
            batch.inputs[:, 1:], np.where(batch.inputs[:, 1:] == PAD, PAD, batch.targets[:, :-1])
        )
        assert {array.dtype for array in batch[1:]} == {np.dtype(np.int32)}


def test_batches_come_in_order_for_validation_and_shuffled_for_training() -> None:
    def order(number: int | None, seed: int = 0) -> list[float]:
        batches = CaptionBatches(
            [["word1"]] * 40, VOCABULARY, lambda p: p[:, None].astype(np.float32), batch_size=7, seed=seed
        )
        return [float(picture) for batch in batches.epoch(number) for picture in batch.features[:, 0]]

    assert order(None) == list(range(40))
    assert order(0) == order(0)
    assert len({tuple(order(*given)) for given in [(None,), (0,), (1,), (0, 1)]}) == 4


def test_a_long_caption_is_cut_without_a_false_end() -> None:
    (batch,) = batches_of([[" ".join(WORDS[:9]), "word3"]], max_words=4).epoch()
    start, end = VOCABULARY.words.index("<start>"), VOCABULARY.words.index("<end>")
    assert batch.inputs.tolist() == [[start, 7, 0, 0, 0], [start, 4, 5, 6, 7]]
    assert batch.targets.tolist() == [[7, end, 0, 0, 0], [4, 5, 6, 7, 8]]


# The loss


def test_the_loss_is_the_cross_entropy_of_the_words_and_not_of_padding() -> None:
    logits = np.log(np.array([[[0.1, 0.2, 0.7], [0.25, 0.5, 0.25], [0.9, 0.05, 0.05]]], np.float32))
    total, words = caption_losses(np.array([[2, 1, PAD]], np.int32), logits)
    assert float(total) == pytest.approx(-np.log(0.7) - np.log(0.5), abs=1e-6)
    assert float(words) == 2


def prefix_form(model: Any, batch: Any) -> tuple[float, int]:
    """Return summed loss and number of rows where every prefix of every caption is a row.

    As notebooks do it: rows padded to one length, masked embedding, LSTM that returns its last output,
    softmax, and categorical cross-entropy against a one-hot word.
    """
    import keras

    layers = keras.layers
    longest = batch.inputs.shape[1]
    picture_in, words_in = keras.Input((6,)), keras.Input((longest,))
    picture = layers.Dense(8, activation="relu", name="picture")(picture_in)
    words = layers.Embedding(len(VOCABULARY), 8, mask_zero=True, name="word_embedding")(words_in)
    words = layers.LSTM(8, name="words")(words)
    merged = layers.Add()([picture, words])
    hidden = layers.Dense(8, activation="relu", name="hidden")(merged)
    output = layers.Dense(len(VOCABULARY), activation="softmax", name="logits")(hidden)
    notebook = keras.Model([picture_in, words_in], output)
    for name in ("picture", "word_embedding", "words", "hidden", "logits"):
        notebook.get_layer(name).set_weights(model.get_layer(name).get_weights())
    pictures, prefixes, one_hot = [], [], []
    for row, inputs, targets in zip(batch.pictures, batch.inputs, batch.targets, strict=True):
        for length in range(1, int((targets != PAD).sum()) + 1):
            pictures.append(batch.features[row])
            prefixes.append(np.pad(inputs[:length], (0, longest - length)))
            one_hot.append(np.eye(len(VOCABULARY), dtype=np.float32)[targets[length - 1]])
    predicted = notebook([np.stack(pictures), np.stack(prefixes)], training=False)
    losses = keras.losses.categorical_crossentropy(np.stack(one_hot), predicted)
    return float(np.sum(np.asarray(losses, np.float64))), len(prefixes)


def test_the_loss_equals_that_of_the_prefix_form() -> None:
    model, train_step, validation_step = steps("add")
    (batch,) = batches_of(made_captions(8)).epoch()
    expected, rows = prefix_form(model, batch)
    assert rows == int((batch.targets != PAD).sum()) > 40
    total, words = validation_step(*batch)
    assert int(words) == rows
    assert float(total) / rows == pytest.approx(expected / rows, abs=1e-5)
    assert float(total) == pytest.approx(expected, rel=1e-5)
    # The step for training computes the loss before it changes the weights.
    weights = model.get_weights()
    total, words = train_step(*batch)
    assert float(total) / float(words) == pytest.approx(expected / rows, abs=1e-5)
    model.set_weights(weights)


@given(pictures=st.integers(1, 5), extra=st.integers(0, 6), copies=st.integers(0, 2))
@settings(max_examples=15, deadline=None)
def test_padding_changes_no_loss(pictures: int, extra: int, copies: int) -> None:
    _, _, validation_step = steps("concat")
    (batch,) = batches_of(made_captions(pictures)).epoch()
    total, words = validation_step(*batch)
    inputs = np.pad(batch.inputs, ((0, copies), (0, extra)))
    targets = np.pad(batch.targets, ((0, copies), (0, extra)))
    rows = np.pad(batch.pictures, (0, copies))
    padded_total, padded_words = validation_step(batch.features, rows, inputs, targets)
    assert float(padded_words) == float(words) == (batch.targets != PAD).sum()
    assert float(padded_total) == pytest.approx(float(total), rel=1e-5)


@given(batch_size=st.integers(1, 12))
@settings(max_examples=8, deadline=None)
def test_the_validation_loss_does_not_depend_on_the_batches(batch_size: int) -> None:
    _, _, validation_step = steps("add")
    captions = made_captions(10)
    (whole,) = batches_of(captions).epoch()
    total, words = validation_step(*whole)
    loss = validation_loss(validation_step, batches_of(captions, batch_size=batch_size))
    assert loss == pytest.approx(float(total) / float(words), rel=1e-5)


def test_one_step_follows_the_gradient_of_the_mean_loss_per_word() -> None:
    import keras
    import tensorflow as tf

    model = built(seed=4)
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    train_step, _ = compile_steps(model)
    (batch,) = batches_of(made_captions(6)).epoch()
    with tf.GradientTape() as tape:
        logits = model([batch.features[batch.pictures], batch.inputs])
        chances = tf.nn.log_softmax(logits)
        chosen = tf.gather(chances, batch.targets, batch_dims=2)
        loss = -tf.reduce_sum(chosen * (batch.targets != PAD)) / (batch.targets != PAD).sum()
    gradients = tape.gradient(loss, model.trainable_variables)
    before = model.get_weights()
    train_step(*batch)
    for old, new, gradient in zip(before, model.get_weights(), gradients, strict=True):
        np.testing.assert_allclose(new, old - tf.convert_to_tensor(gradient), atol=1e-5)


# The loop


def trained(tmp_path: Path, seed: int = 0, dev: bool = True, callbacks: Any = (), **options: Any) -> Any:
    """Train a small model with dropout; return it with the logs of its epochs."""
    chosen = TrainingOptions(**{"epochs": 3, "batch_size": 4, "learning_rate": 0.02, "seed": seed, **options})
    model = built(seed, dropout=0.3)
    captions = made_captions(15)
    train = batches_of(captions[:11], batch_size=chosen.batch_size, seed=seed)
    watched = batches_of(captions[11:]) if dev else None
    history = fit(model, train, watched, list(callbacks), chosen, params={"run_folder": str(tmp_path)})
    return model, history


def without_seconds(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in logs.items() if name != "seconds"} for logs in history]


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return model and history of one training run."""
    return trained(tmp_path_factory.mktemp("run"))


@pytest.mark.slow
def test_training_twice_with_one_seed_gives_the_same_and_another_seed_does_not(
    first_run: Any, tmp_path: Path
) -> None:
    first, history = first_run
    again, same_history = trained(tmp_path)
    other, other_history = trained(tmp_path, seed=1)
    assert without_seconds(history) == without_seconds(same_history)
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert other_history[0]["loss"] != history[0]["loss"]
    assert [list(logs) for logs in history] == [["epoch", "loss", "val_loss", "learning_rate", "seconds"]] * 3
    assert [logs["epoch"] for logs in history] == [1, 2, 3]
    assert history[0]["learning_rate"] == pytest.approx(0.02)
    assert history[2]["loss"] < history[0]["loss"]
    assert any((one != two).any() for one, two in zip(first.get_weights(), other.get_weights(), strict=True))


def test_the_validation_loss_is_that_of_the_weights_at_the_end_of_the_epoch(first_run: Any) -> None:
    model, history = first_run
    (batch,) = batches_of(made_captions(15)[11:]).epoch()
    logits = model([batch.features[batch.pictures], batch.inputs], training=False)
    total, words = caption_losses(batch.targets, logits)
    assert history[-1]["val_loss"] == pytest.approx(float(total) / float(words), rel=1e-5)


def test_callbacks_are_called_in_the_order_of_keras_with_the_logs(tmp_path: Path) -> None:
    import keras

    calls: list[tuple[str, Any]] = []

    class Listener(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            calls.append(("train begins", self.params["run_folder"]))

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            calls.append(("epoch begins", epoch))
            self.model.optimizer.learning_rate = 0.01 / (epoch + 1)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            calls.append(("batch ends", batch))
            assert logs["loss"] > 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            calls.append(("epoch ends", sorted(logs)))
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs: Any = None) -> None:
            calls.append(("train ends", None))

    _, history = trained(tmp_path, dev=False, callbacks=[Listener()], epochs=5, batch_size=6)
    epoch = [("batch ends", 0), ("batch ends", 1), ("epoch ends", ["loss"])]
    assert calls == [
        ("train begins", str(tmp_path)),
        *[("epoch begins", 0), *epoch],
        *[("epoch begins", 1), *epoch],
        ("train ends", None),
    ]
    assert [logs["learning_rate"] for logs in history] == pytest.approx([0.01, 0.005])


def test_callbacks_may_lower_the_learning_rate_after_the_warm_up(tmp_path: Path) -> None:
    import keras

    class Halving(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2

    _, history = trained(tmp_path, callbacks=[Halving()], epochs=3, warm_up=1.0, learning_rate=0.02)
    assert [logs["learning_rate"] for logs in history] == pytest.approx([0.02, 0.01, 0.005])


def test_a_callback_may_stop_training_within_an_epoch(tmp_path: Path) -> None:
    import keras

    batches: list[int] = []

    class Stopping(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            batches.append(batch)
            self.model.stop_training = True

    _, history = trained(tmp_path, callbacks=[Stopping()], batch_size=2)
    assert batches == [0]
    assert len(history) == 1


def test_a_loss_that_is_no_number_ends_training_before_anything_is_written(tmp_path: Path) -> None:
    import keras

    class Never(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise AssertionError("the epoch has no loss to act upon")

    model = built()
    *others, bias = model.get_weights()
    model.set_weights([*others, bias + np.nan])
    with pytest.raises(TrainingError, match=r"The loss of epoch 1 is nan. Lower the learning rate"):
        fit(
            model,
            batches_of([["word1"]]),
            None,
            [Never()],
            TrainingOptions(),
            params={"run_folder": str(tmp_path)},
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "training.epochs is 0; it must be 1 or more"),
        ({"batch_size": -1}, "training.batch_size is -1"),
        ({"max_words": 0}, "training.max_words is 0"),
        ({"learning_rate": 0.0}, "training.learning_rate is 0.0; it must be above 0"),
        ({"learning_rate": float("nan")}, "training.learning_rate is nan"),
        ({"seed": -1}, "training.seed is -1"),
        ({"seed": 2**32}, "training.seed is 4294967296"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainingOptions(**options)
