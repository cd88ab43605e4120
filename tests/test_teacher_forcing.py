"""The fast way to learn gives the numbers of the plain one: losses, derivatives, whole trainings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from capframe import PluginManager, Registry
from capframe.training import compile_steps
from capframe.vocabulary import END, PAD, START

WORDS = 11
DECODERS: list[tuple[str, dict[str, Any]]] = [
    ("add-merge", {"units": 6, "embedding_size": 5, "dropout": 0.0}),
    ("add-merge", {"units": 6, "embedding_size": 5, "dropout": 0.0, "merge": "concat"}),
    ("add-merge", {"units": 6, "embedding_size": 5, "dropout": 0.0, "normalise_pictures": True}),
    ("transformer", {"width": 8, "heads": 2, "feed_forward": 12, "dropout": 0.0}),
    ("show-attend-tell", {"units": 6, "embedding_size": 5, "attention_size": 4, "dropout": 0.0}),
]
SHAPES = [(7,), (4, 3)]
Array = NDArray[Any]


def build(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> tuple[Any, Any]:
    import keras

    keras.utils.set_random_seed(3)
    decoder = Registry(PluginManager(strict=True, disabled={"*"})).create("decoder", name, options).value
    model = decoder.build(shape, WORDS)
    random = np.random.default_rng(3)
    model.set_weights([random.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    return decoder, model


def batch_of(lengths: list[list[int]], shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Return a batch of pictures with captions of these lengths, in the order in which they are given."""
    random = np.random.default_rng(5)
    pictures = np.repeat(np.arange(len(lengths)), [len(own) for own in lengths]).astype(np.int32)
    widths = [length for own in lengths for length in own]
    inputs, targets = np.full((2, len(widths), max(widths) + 1), PAD, np.int32)
    for row, length in enumerate(widths):
        words = random.integers(END + 1, WORDS, length)
        inputs[row, : length + 1] = START, *words
        targets[row, : length + 1] = *words, END
    order = random.permutation(len(widths))
    features = random.normal(size=(len(lengths), *shape)).astype(np.float32)
    return features, pictures[order], inputs[order], targets[order]


@pytest.fixture
def uncompiled() -> Iterator[None]:
    """Let compiled functions run uncompiled: compiling takes far longer than one step."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "options"), DECODERS, ids=str)
def test_one_step_changes_every_weight_as_the_plain_step_does(
    name: str, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    import tensorflow as tf

    batch = [tf.constant(array) for array in batch_of([[3, 1, 6], [2], [4, 4, 9, 1]], shape)]
    after = []
    for fast in (False, True):
        decoder, model = build(name, options, shape)
        train, validate = compile_steps(model, 0.1, decoder if fast else None)
        before = [float(value) for value in validate(*batch)]
        train(*batch)
        after.append((before, model.get_weights()))
    (plain, plain_weights), (fast_losses, fast_weights) = after
    assert fast_losses == pytest.approx(plain, rel=1e-5)
    assert plain[1] == sum(length + 1 for length in (3, 1, 6, 2, 4, 4, 9, 1))
    for mine, theirs in zip(fast_weights, plain_weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-5)


@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_mixture_of_lengths_has_the_loss_of_the_plain_pass(lengths: list[list[int]]) -> None:
    for (name, options), step in steps().items():
        batch = batch_of(lengths, SHAPES[1])
        plain, fast = ([float(value) for value in validate(*batch)] for validate in step)
        assert fast == pytest.approx(plain, rel=1e-4), (name, options)


_STEPS: dict[Any, Any] = {}


def steps() -> dict[Any, Any]:
    if not _STEPS:
        for name, options in (DECODERS[0], *DECODERS[3:]):
            decoder, model = build(name, options, SHAPES[1])
            both = (compile_steps(model)[1], compile_steps(model, 0.0, decoder)[1])
            _STEPS[name, tuple(options.items())] = both
    return _STEPS


@pytest.mark.parametrize("length", [1, 5])
def test_the_packed_lstm_is_that_of_keras(length: int) -> None:
    import keras
    import tensorflow as tf

    from capframe.default_plugins.decoders.packed_lstm import pack, packed_lstm

    keras.utils.set_random_seed(1)
    layer = keras.layers.LSTM(4, return_sequences=True)
    tokens = np.zeros((3, length), np.int32)
    for row, words in enumerate((length, max(length - 3, 1), max(length - 1, 1))):
        tokens[row, :words] = 1
    embedded = tf.random.normal((3, length, 2), seed=1)
    layer.build(embedded.shape)
    layer.cell.bias.assign(np.linspace(-1, 1, 16))
    places, sizes = pack(tf.constant(tokens))
    upstream = tf.random.normal((3, length, 4), seed=2)
    sources = [embedded, *(weight.value for weight in layer.cell.trainable_variables)]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(embedded)
        whole = tf.gather(tf.reshape(layer(embedded), [-1, 4]), places)
        packed = packed_lstm(tf.gather(tf.reshape(embedded, [-1, 2]), places), sizes, layer.cell)
        own = tf.gather(tf.reshape(upstream, [-1, 4]), places)
        totals = [tf.reduce_sum(states * own) for states in (whole, packed)]
    np.testing.assert_allclose(packed, whole, atol=1e-5)
    for mine, theirs in zip(*(tape.gradient(total, sources) for total in totals), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(mine), tf.convert_to_tensor(theirs), atol=1e-5)


def test_words_are_packed_first_words_first_and_long_captions_first() -> None:
    import tensorflow as tf

    from capframe.default_plugins.decoders.packed_lstm import pack

    places, sizes = pack(tf.constant([[5, 6, 0], [7, 8, 9]]))
    # 7 5, 8 6, 9
    assert places.numpy().tolist() == [3, 0, 4, 1, 5]
    assert sizes.numpy().tolist() == [2, 2, 1]
