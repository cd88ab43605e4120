"""Averages of the weights, and dropped words: values worked by hand, and what training makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capframe import Captioner, Dataset, FeatureStore, Registry
from capframe.errors import UsageError
from capframe.features import FeatureSource
from capframe.training import compile_steps
from capframe.training_options import TrainingOptions
from capframe.vocabulary import PAD, START, UNK
from capframe.weight_averaging import WeightAverage
from capframe.word_dropout import drop_words

PICTURES = [f"{number}.png" for number in range(12)]
DATASET = Dataset(
    {name: (f"a {'red' if int(name[:-4]) % 2 else 'blue'} thing",) for name in PICTURES},
    {},
    {"train": tuple(PICTURES[:8]), "dev": tuple(PICTURES[8:])},
)


def one_weight(value: float) -> Any:
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[value]], np.float32)])
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    model.optimizer.build(model.trainable_variables)
    return model


def test_the_average_follows_the_weights_fast_at_first_and_by_its_decay_then() -> None:
    model = one_weight(0.0)
    average = WeightAverage(model, 0.75)
    model.set_weights([np.array([[1.0]], np.float32)])
    model.optimizer.iterations.assign(1)
    average.update()  # (1 + 1) / (10 + 1) of 0 and the rest of 1
    assert float(average.variables[0][0, 0]) == pytest.approx(9 / 11)
    model.optimizer.iterations.assign(1000)
    average.update()
    assert float(average.variables[0][0, 0]) == pytest.approx(0.75 * 9 / 11 + 0.25)


def test_model_and_average_exchange_their_weights_and_back() -> None:
    model = one_weight(2.0)
    average = WeightAverage(model, 0.9)
    model.set_weights([np.array([[5.0]], np.float32)])
    average.swap()
    assert (float(model.get_weights()[0][0, 0]), float(average.variables[0][0, 0])) == (2.0, 5.0)
    average.swap()
    assert (float(model.get_weights()[0][0, 0]), float(average.variables[0][0, 0])) == (5.0, 2.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    source = FeatureSource("imported", {"feature_shape": [4]}, (4,))
    store = FeatureStore.create(tmp_path_factory.mktemp("store"), source)
    store.add(PICTURES, np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32))
    return store


class Watch:
    """Makes a callback that notes the weights of each step and epoch, and may cut the power."""

    def __new__(cls, cut: int = -1) -> Any:
        import keras

        class Watching(keras.callbacks.Callback):
            def __init__(self) -> None:
                super().__init__()
                self._steps: list[list[Any]] = []
                self._epochs: list[list[Any]] = []

            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                if epoch == cut:
                    raise KeyboardInterrupt

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                self._steps.append(self.model.get_weights())

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                self._epochs.append(self.model.get_weights())

        return Watching()


def captioner(registry: Registry, *callbacks: Any, **training: Any) -> Captioner:
    return Captioner(
        ("imported", {"feature_shape": [4]}),
        decoder=("add-merge", {"units": 5, "embedding_size": 4, "dropout": 0.2}),
        callbacks=callbacks,
        vocabulary={"min_count": 1},
        training={"epochs": 3, "batch_size": 4, "learning_rate": 0.05, **training},
        registry=registry,
    )


def test_callbacks_and_the_final_model_get_the_average_and_training_goes_on_without_it(
    registry: Registry, store: FeatureStore
) -> None:
    plain, watch = Watch(), Watch()
    captioner(registry, plain).fit(DATASET, features=store)
    averaged = captioner(registry, watch, weight_averaging=0.6)
    averaged.fit(DATASET, features=store)

    # Averaging does not change which way the weights go.
    for one, two in zip(plain._steps, watch._steps, strict=True):
        for left, right in zip(one, two, strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5)
    expected = None
    for step, weights in enumerate(watch._steps, start=1):
        if expected is not None:
            decay = min(0.6, (1 + step) / (10 + step))
            expected = [decay * old + (1 - decay) * new for old, new in zip(expected, weights, strict=True)]
        if step == 2:
            expected = watch._epochs[0]
        if step in (4, 6):
            for own, due in zip(watch._epochs[step // 2 - 1], expected, strict=True):
                np.testing.assert_allclose(own, due, atol=1e-5)
    for own, due in zip(averaged.trained.model.get_weights(), watch._epochs[-1], strict=True):
        np.testing.assert_array_equal(own, due)
    assert any(
        (own != last).any()
        for own, last in zip(averaged.trained.model.get_weights(), watch._steps[-1], strict=True)
    )


@pytest.mark.slow
def test_a_resumed_training_goes_on_with_weights_average_and_dropped_words(
    registry: Registry, store: FeatureStore, tmp_path: Path
) -> None:
    options = {"weight_averaging": 0.6, "word_dropout": 0.3}
    whole = captioner(registry, Watch(), **options)
    history = whole.fit(DATASET, features=store, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        captioner(registry, Watch(2), **options).fit(DATASET, features=store, out=tmp_path / "cut")
    resumed = captioner(registry, Watch(), **options)
    same = resumed.fit(DATASET, features=store, out=tmp_path / "cut", resume=True)

    assert [(logs["loss"], logs["val_loss"]) for logs in same] == [
        (logs["loss"], logs["val_loss"]) for logs in history
    ]
    for one, two in zip(whole.trained.model.get_weights(), resumed.trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_words_are_dropped_at_the_rate_but_never_the_start_or_padding() -> None:
    inputs = np.full((200, 12), 7, np.int32)
    inputs[:, 0], inputs[:, 10:] = START, PAD
    dropped = np.asarray(drop_words(inputs, 0.25, [3, 4]))
    assert (dropped[:, 0] == START).all()
    assert (dropped[:, 10:] == PAD).all()
    words = dropped[:, 1:10]
    assert set(np.unique(words)) == {UNK, 7}
    # 1,800 words, standard deviation 0.0102: five of them on either side.
    assert (words == UNK).mean() == pytest.approx(0.25, abs=0.051)
    np.testing.assert_array_equal(dropped, np.asarray(drop_words(inputs, 0.25, [3, 4])))
    assert (dropped != np.asarray(drop_words(inputs, 0.25, [3, 5]))).any()


def test_words_are_dropped_in_training_only(registry: Registry) -> None:
    import keras

    keras.utils.set_random_seed(0)
    decoder = registry.create("decoder", "add-merge", {"units": 5, "embedding_size": 4, "dropout": 0.0}).value
    model = decoder.build((4,), 9)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    words = np.array([[START, 4, 5, 6, 7, 8]], np.int32)
    hidden = np.array([[START, UNK, UNK, UNK, UNK, UNK]], np.int32)
    targets = np.array([[4, 5, 6, 7, 8, 3]], np.int32)
    features, pictures = np.ones((1, 4), np.float32), np.zeros(1, np.int32)
    plain_train, validate = compile_steps(model)
    unread = float(plain_train(features, pictures, hidden, targets)[0])
    read = float(plain_train(features, pictures, words, targets)[0])
    train, validate = compile_steps(model, 0.0, None, 1 - 1e-7)
    assert float(train(features, pictures, words, targets)[0]) == pytest.approx(unread, abs=1e-5)
    assert float(validate(features, pictures, words, targets)[0]) == pytest.approx(read, abs=1e-5)
    assert abs(unread - read) > 1e-3


@pytest.mark.parametrize("option", ["word_dropout", "weight_averaging"])
def test_a_share_of_one_or_more_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=rf"training.{option} is 1.0; it must be below 1"):
        TrainingOptions(**{option: 1.0})
