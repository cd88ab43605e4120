"""The transformer decoder: stepping, causality, positions, attention, and a caption learnt by heart."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from capframe import PluginManager, Registry
from capframe.errors import OptionError
from capframe.search import Search, SearchOptions
from capframe.training import caption_losses
from capframe.vocabulary import END, PAD, START

WORDS = 14
Array = NDArray[Any]


@cache
def built(shape: tuple[int, ...], layers: int = 2) -> tuple[Any, Any]:
    """Return a decoder and its model, with weights that make the logits differ by several units."""
    import keras

    keras.utils.set_random_seed(7)
    options = {"layers": layers, "width": 8, "heads": 2, "feed_forward": 12, "dropout": 0.2, "max_words": 9}
    decoder = Registry(PluginManager(disabled={"*"})).create("decoder", "transformer", options).value
    model = decoder.build(shape, WORDS)
    random = np.random.default_rng(7)
    model.set_weights([random.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    return decoder, model


def features_of(shape: tuple[int, ...], pictures: int = 3) -> Array:
    return np.random.default_rng(3).normal(size=(pictures, *shape)).astype(np.float32)


def tokens_of(pictures: int = 3, length: int = 7) -> Array:
    tokens = np.random.default_rng(5).integers(4, WORDS, (pictures, length)).astype(np.int32)
    tokens[:, 0] = START
    return tokens


@pytest.mark.parametrize("shape", [(5,), (6, 5), (2, 3, 5)])
@pytest.mark.parametrize("layers", [1, 3])
def test_stepping_gives_the_logits_of_the_whole_pass(shape: tuple[int, ...], layers: int) -> None:
    decoder, model = built(shape, layers)
    features, tokens = features_of(shape), tokens_of()
    whole = np.asarray(model([features, tokens], training=False))
    state = decoder.start(model, features)
    assert whole.std() > 0.5
    for place in range(tokens.shape[1]):
        logits, state = decoder.step(model, tokens[:, place], state)
        np.testing.assert_allclose(logits, whole[:, place], atol=1e-4)


def test_a_word_is_predicted_from_the_words_before_it_and_from_no_later_one() -> None:
    _, model = built((6, 5))
    features, tokens = features_of((6, 5)), tokens_of()
    changed = tokens.copy()
    changed[:, 4] = (changed[:, 4] - 3) % (WORDS - 4) + 4
    one, two = (np.asarray(model([features, words], training=False)) for words in (tokens, changed))
    np.testing.assert_allclose(one[:, :4], two[:, :4], atol=1e-5)
    assert (np.abs(one[:, 4:] - two[:, 4:]).max(axis=(0, 2)) > 1e-3).all()


def test_the_order_of_words_and_of_regions_matters() -> None:
    _, model = built((6, 5))
    features, tokens = features_of((6, 5)), tokens_of()
    swapped = tokens[:, [0, 2, 1, 3, 4, 5, 6]]

    def last(features: Array, tokens: Array) -> Array:
        return np.asarray(model([features, tokens], training=False))[:, -1]

    before = last(features, tokens)
    assert np.abs(last(features, swapped) - before).max() > 1e-3
    assert np.abs(last(features[:, ::-1], tokens) - before).max() > 1e-3


def test_the_attention_of_each_word_is_a_share_of_the_regions_and_moves_with_the_picture() -> None:
    decoder, model = built((6, 5))
    features, tokens = features_of((6, 5)), tokens_of()
    attention = np.asarray(decoder.attention(model, features, tokens))
    assert attention.shape == (3, 7, 6)
    np.testing.assert_allclose(attention.sum(axis=-1), 1, atol=1e-5)
    assert (attention >= 0).all()
    assert np.abs(attention[0] - attention[1]).max() > 0.01


def test_region_dropout_leaves_out_other_regions_of_each_picture_in_each_step_of_training_alone() -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(2)
    options = {"layers": 1, "width": 8, "heads": 2, "feed_forward": 12, "dropout": 0.0, "region_dropout": 0.5}
    decoder = Registry(PluginManager(disabled={"*"})).create("decoder", "transformer", options).value
    model = decoder.build((6, 5), WORDS)
    features = np.tile(features_of((6, 5), 1), (40, 1, 1))
    regions = model.get_layer("regions")
    whole = np.asarray(regions(features))
    seen = np.asarray(regions(features, training=True))
    assert (whole.shape, seen.shape) == ((40, 6, 8), (40, 3, 8))
    # Which of its six regions each of the three is: three different ones, of all six in the long run.
    distances = np.abs(seen[:, :, None] - whole[:, None]).max(axis=-1)
    np.testing.assert_allclose(distances.min(axis=2), 0, atol=1e-5)
    chosen = [frozenset(row) for row in distances.argmin(axis=2).tolist()]
    assert {len(own) for own in chosen} == {3}
    assert set().union(*chosen) == set(range(6))
    assert len(set(chosen)) > 5
    # Both ways of training see the lot anew at each step.
    tokens = tokens_of(40, 4)
    plain = np.asarray(model([features, tokens], training=True))
    packed = tf.function(
        lambda: decoder.hidden_words(model, features, np.arange(40, dtype=np.int32), tokens, True)[0]
    )
    assert plain.shape == (40, 4, WORDS)
    assert np.abs(packed() - packed()).max() > 1e-3


def test_embedding_and_logits_share_their_weights() -> None:
    _, model = built((5,))
    matrices = [weight.shape for weight in model.trainable_weights if weight.shape[0] == WORDS]
    assert sorted(map(tuple, matrices)) == [(WORDS,), (WORDS, 8)]


def test_no_caption_gets_longer_than_there_is_room_for() -> None:
    decoder, model = built((5,))
    tokens, _ = Search(decoder, model)(features_of((5,)), SearchOptions(beam=2, min_words=12, max_words=12))
    assert (tokens != PAD).sum(axis=1).tolist() == [9, 9, 9]


@pytest.mark.slow
def test_it_learns_by_heart_which_picture_has_which_caption() -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    registry = Registry(PluginManager(disabled={"*"}))
    options = {"width": 16, "heads": 2, "feed_forward": 32, "dropout": 0.0}
    decoder = registry.create("decoder", "transformer", options).value
    model = decoder.build((4, 3), WORDS)
    features = features_of((4, 3), pictures=2)
    inputs = np.array([[START, 4, 5, 6], [START, 4, 7, PAD]], np.int32)
    targets = np.array([[4, 5, 6, END], [4, 7, END, PAD]], np.int32)
    optimizer = keras.optimizers.Adam(0.01)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            total, words = caption_losses(targets, model([features, inputs], training=True))
            loss = total / words
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    losses = [float(step()) for _ in range(60)]
    assert losses[-1] < 0.05
    found, _ = Search(decoder, model)(features, SearchOptions(beam=3, max_words=5))
    assert found.tolist() == [[4, 5, 6, PAD, PAD], [4, 7, PAD, PAD, PAD]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": 0}, "layers=0: it must be 1 or more"),
        ({"max_words": 0}, "max_words=0"),
        ({"width": 10, "heads": 4}, "width=10 with heads=4: the width must be a multiple"),
        ({"dropout": 1.0}, "dropout=1.0: it must be from 0 to below 1"),
        ({"region_dropout": -0.1}, "region_dropout=-0.1: it must be from 0 to below 1"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=f"'transformer' cannot take {said}"):
        _ = Registry(PluginManager(disabled={"*"})).create("decoder", "transformer", options).value
