"""The show-attend-tell decoder: the paper's equations, stepping, causality, attention, learning by heart."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from capframe import PluginManager, Registry
from capframe.errors import OptionError
from capframe.search import Search, SearchOptions
from capframe.training import compile_steps
from capframe.vocabulary import END, PAD, START

WORDS = 14
UNITS, ATTENTION = 6, 4
Array = NDArray[Any]


def decoder_of(**options: Any) -> Any:
    return Registry(PluginManager(disabled={"*"})).create("decoder", "show-attend-tell", options).value


@cache
def built(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return a decoder and its model, with weights that make the logits differ by several units."""
    import keras

    keras.utils.set_random_seed(7)
    decoder = decoder_of(units=UNITS, embedding_size=5, attention_size=ATTENTION, dropout=0.2)
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


def whole_pass(model: Any, features: Array, tokens: Array) -> Array:
    return np.asarray(model([features, tokens], training=False))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def test_logits_and_attention_are_those_of_the_published_equations() -> None:
    decoder, model = built((3, 5))
    features, tokens = features_of((3, 5)), tokens_of()
    layer = model.get_layer("attentive_words")

    def dense(part: Any, given: Array) -> Array:
        return given @ np.asarray(part.kernel) + (0 if part.bias is None else np.asarray(part.bias))

    embedding = np.asarray(model.get_layer("word_embedding").embeddings)
    hidden = np.tanh(dense(layer.first_hidden, features.mean(axis=1)))
    cell = np.tanh(dense(layer.first_cell, features.mean(axis=1)))
    logits, attention = [], []
    for word in tokens.T:
        query, beta, gates = np.split(dense(layer.from_hidden, hidden), [ATTENTION, ATTENTION + 1], axis=1)
        energies = dense(layer.score, np.tanh(dense(layer.region_keys, features) + query[:, None]))[..., 0]
        weights = np.exp(energies) / np.exp(energies).sum(axis=1, keepdims=True)
        context = sigmoid(beta) * sum(weights[:, region, None] * features[:, region] for region in range(3))
        gates = gates + dense(layer.from_word, embedding[word]) + dense(layer.from_context, context)
        into, forget, candidate, out = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(candidate)
        hidden = sigmoid(out) * np.tanh(cell)
        projected = dense(model.get_layer("deep_output").project, np.hstack([hidden, context]))
        logits.append(dense(model.get_layer("logits"), np.tanh(embedding[word] + projected)))
        attention.append(weights)
    np.testing.assert_allclose(whole_pass(model, features, tokens), np.stack(logits, 1), atol=1e-4)
    found = decoder.attention(model, features, tokens)
    np.testing.assert_allclose(found, np.stack(attention, 1), atol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (6, 5), (2, 3, 5)])
def test_stepping_gives_the_logits_of_the_whole_pass(shape: tuple[int, ...]) -> None:
    decoder, model = built(shape)
    features, tokens = features_of(shape), tokens_of()
    whole = whole_pass(model, features, tokens)
    assert whole.std() > 0.5
    state = decoder.start(model, features)
    for place in range(tokens.shape[1]):
        logits, state = decoder.step(model, tokens[:, place], state)
        np.testing.assert_allclose(logits, whole[:, place], atol=1e-4)


def test_a_word_is_predicted_from_the_words_before_it_and_from_no_later_one() -> None:
    _, model = built((6, 5))
    features, tokens = features_of((6, 5)), tokens_of()
    changed = tokens.copy()
    changed[:, 4] = (changed[:, 4] - 3) % (WORDS - 4) + 4
    one, two = (whole_pass(model, features, words) for words in (tokens, changed))
    np.testing.assert_allclose(one[:, :4], two[:, :4], atol=1e-5)
    assert (np.abs(one[:, 4:] - two[:, 4:]).max(axis=(0, 2)) > 1e-3).all()


def test_padding_changes_no_logit_before_it() -> None:
    _, model = built((6, 5))
    features, tokens = features_of((6, 5)), tokens_of()
    padded = np.pad(tokens, ((0, 0), (0, 3)), constant_values=PAD)
    np.testing.assert_allclose(
        whole_pass(model, features, padded)[:, :7], whole_pass(model, features, tokens), atol=1e-5
    )


def test_the_attention_of_a_word_knows_no_later_word_and_a_vector_gets_all_of_it() -> None:
    decoder, model = built((6, 5))
    features, tokens = features_of((6, 5)), tokens_of()
    attention = np.asarray(decoder.attention(model, features, tokens))
    assert attention.shape == (3, 7, 6)
    np.testing.assert_allclose(attention.sum(axis=-1), 1, atol=1e-5)
    changed = tokens.copy()
    changed[:, 3] = (changed[:, 3] - 3) % (WORDS - 4) + 4
    other = np.asarray(decoder.attention(model, features, changed))
    # What is looked at before word 3 is read was settled by the words before it.
    np.testing.assert_allclose(attention[:, :4], other[:, :4], atol=1e-5)
    assert np.abs(attention[:, 4] - other[:, 4]).max() > 1e-3
    decoder, model = built((5,))
    np.testing.assert_array_equal(decoder.attention(model, features_of((5,)), tokens), np.ones((3, 7, 1)))


def test_a_saved_model_gives_the_same_logits_in_safe_mode(tmp_path: Path) -> None:
    import keras

    _, model = built((6, 5))
    model.save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras", safe_mode=True)
    features, tokens = features_of((6, 5)), tokens_of()
    np.testing.assert_allclose(
        whole_pass(loaded, features, tokens), whole_pass(model, features, tokens), atol=1e-5
    )


def test_dropout_acts_while_training_only() -> None:
    _, model = built((6, 5))
    features, tokens = features_of((6, 5)), tokens_of()
    before = whole_pass(model, features, tokens)
    np.testing.assert_array_equal(before, whole_pass(model, features, tokens))
    assert np.abs(np.asarray(model([features, tokens], training=True)) - before).max() > 0.1


@pytest.mark.slow
def test_it_learns_by_heart_which_picture_has_which_caption() -> None:
    import keras

    keras.utils.set_random_seed(1)
    decoder = decoder_of(units=16, embedding_size=8, attention_size=8, dropout=0.0)
    model = decoder.build((4, 3), WORDS)
    model.compile(optimizer=keras.optimizers.Adam(0.02))
    train, _ = compile_steps(model)
    features = features_of((4, 3), pictures=2)
    inputs = np.array([[START, 4, 5, 6], [START, 4, 7, PAD]], np.int32)
    targets = np.array([[4, 5, 6, END], [4, 7, END, PAD]], np.int32)
    for _ in range(60):
        total, words = train(features, np.array([0, 1], np.int32), inputs, targets)
    assert float(total / words) < 0.05
    found, _ = Search(decoder, model)(features, SearchOptions(beam=3, max_words=5))
    assert found.tolist() == [[4, 5, 6, PAD, PAD], [4, 7, PAD, PAD, PAD]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"units": 0}, "units=0: it must be 1 or more"),
        ({"embedding_size": 0}, "embedding_size=0"),
        ({"attention_size": -1}, "attention_size=-1"),
        ({"dropout": 1.0}, "dropout=1.0: it must be from 0 to below 1"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=f"'show-attend-tell' cannot take {said}"):
        decoder_of(**options)
