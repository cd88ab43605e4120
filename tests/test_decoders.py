from __future__ import annotations

import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from capframe import Decoder, PluginManager, Registry
from capframe.errors import OptionError
from capframe.vocabulary import START

WORDS = 20
VARIANTS = [
    {"merge": merge, "normalise_pictures": normalise, "shape": shape}
    for merge, shape, normalise in product(("add", "concat"), ((6,), (4, 3), (2, 2, 3)), (False, True))
]
EVERY_VARIANT = pytest.mark.parametrize("variant", VARIANTS, ids=str)

Array = NDArray[Any]


@cache
def built(merge: str, shape: tuple[int, ...], normalise: bool) -> tuple[Any, Any]:
    """Return a decoder and its model, with weights that make the logits differ by several units."""
    import keras

    keras.utils.set_random_seed(7)
    options = {"units": 8, "embedding_size": 5, "merge": merge, "normalise_pictures": normalise}
    registry = Registry(PluginManager(strict=True, disabled={"*"}))
    decoder = registry.create("decoder", "add-merge", options).value
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


@EVERY_VARIANT
def test_stepping_gives_the_logits_of_the_whole_pass(variant: dict[str, Any]) -> None:
    decoder, model = built(variant["merge"], variant["shape"], variant["normalise_pictures"])
    assert isinstance(decoder, Decoder)
    features, tokens = features_of(variant["shape"]), tokens_of()
    expected = whole_pass(model, features, tokens)
    assert expected.shape == (3, 7, WORDS)
    assert expected.dtype == np.float32
    assert expected.std() > 0.5  # the comparison would say little about logits that are all alike
    state = decoder.start(model, features)
    for position in range(7):
        logits, state = decoder.step(model, tokens[:, position], state)
        np.testing.assert_allclose(logits, expected[:, position], atol=1e-4)
        assert {tensor.shape[0] for tensor in state.values()} == {3}


@EVERY_VARIANT
def test_logits_depend_on_the_picture(variant: dict[str, Any]) -> None:
    _, model = built(variant["merge"], variant["shape"], variant["normalise_pictures"])
    features, tokens = features_of(variant["shape"]), tokens_of()
    others = whole_pass(model, features[::-1], tokens)
    assert np.abs(whole_pass(model, features, tokens) - others)[0].max(axis=-1).min() > 0.01


def test_a_grid_counts_as_the_mean_of_its_regions() -> None:
    _, vector = built("add", (3,), False)
    _, grid = built("add", (4, 3), False)  # built with the same weights
    features, tokens = features_of((4, 3)), tokens_of()
    expected = whole_pass(vector, features.mean(axis=1), tokens)
    np.testing.assert_allclose(whole_pass(grid, features, tokens), expected, atol=1e-5)


@pytest.mark.parametrize("merge", ["add", "concat"])
def test_normalised_pictures_count_by_their_direction_only(merge: str) -> None:
    tokens, features = tokens_of(), features_of((6,))
    _, normalised = built(merge, (6,), True)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = whole_pass(normalised, features, tokens)
    np.testing.assert_allclose(whole_pass(normalised, 7 * features, tokens), expected, atol=1e-5)
    _, plain = built(merge, (6,), False)
    np.testing.assert_allclose(whole_pass(plain, unit, tokens), expected, atol=1e-5)
    assert np.abs(whole_pass(plain, 7 * features, tokens) - expected).max() > 0.1


@EVERY_VARIANT
def test_a_later_word_changes_no_earlier_logit(variant: dict[str, Any]) -> None:
    _, model = built(variant["merge"], variant["shape"], variant["normalise_pictures"])
    features = np.repeat(features_of(variant["shape"], 1), 7, axis=0)
    tokens = np.repeat(tokens_of(1), 7, axis=0)
    rows = np.arange(7)
    tokens[rows, rows] = 4 + (tokens[rows, rows] - 1) % 16  # row i has another word at position i
    tokens[0] = tokens_of(1)
    logits = whole_pass(model, features, tokens)
    for position in range(1, 7):
        # Not to the last bit: some processors add up a row of a product by its place in the batch.
        np.testing.assert_allclose(logits[position, :position], logits[0, :position], atol=1e-5)
        assert np.abs(logits[position, position] - logits[0, position]).max() > 1e-3


@given(padding=st.integers(1, 6))
@settings(max_examples=6, deadline=None)
def test_padding_changes_no_logit_before_it(padding: int) -> None:
    _, model = built("add", (6,), False)
    features, tokens = features_of((6,)), tokens_of()
    padded = np.pad(tokens, ((0, 0), (0, padding)))
    np.testing.assert_allclose(
        whole_pass(model, features, padded)[:, :7], whole_pass(model, features, tokens), atol=1e-5
    )


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("merge", ["add", "concat"])
def test_logits_are_those_of_the_published_architecture(merge: str) -> None:
    """Embedding and LSTM over the words; picture merged by sum or by concatenation; two dense layers."""
    _, model = built(merge, (6,), False)
    weights = {
        layer.name: [np.asarray(weight, np.float64) for weight in layer.get_weights()]
        for layer in model.layers
        if layer.get_weights()
    }
    features, tokens = features_of((6,)), tokens_of()
    kernel, recurrent, bias = weights["words"]
    hidden = cell = np.zeros((3, 8))
    expected = []
    kernel_picture, bias_picture = weights["picture"]
    picture = np.maximum(features @ kernel_picture + bias_picture, 0)
    for word in tokens.T:
        gates = weights["word_embedding"][0][word] @ kernel + hidden @ recurrent + bias
        into, forget, candidate, out = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(candidate)
        hidden = sigmoid(out) * np.tanh(cell)
        if merge == "add":
            layer = (picture + hidden) @ weights["hidden"][0] + weights["hidden"][1]
        else:
            both = np.vstack([weights["merge_picture"][0], weights["merge_words"][0]])
            layer = np.hstack([picture, hidden]) @ both + weights["merge_words"][1]
        expected.append(np.maximum(layer, 0) @ weights["logits"][0] + weights["logits"][1])
    np.testing.assert_allclose(whole_pass(model, features, tokens), np.stack(expected, 1), atol=1e-4)


def test_dropout_acts_while_training_only() -> None:
    _, model = built("add", (6,), False)
    features, tokens = features_of((6,)), tokens_of()
    np.testing.assert_array_equal(whole_pass(model, features, tokens), whole_pass(model, features, tokens))
    dropped = np.asarray(model([features, tokens], training=True))
    assert np.abs(dropped - whole_pass(model, features, tokens)).max() > 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "units=0"),
        ({"embedding_size": -1}, "embedding_size=-1"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"dropout": "nan"}, "dropout=nan"),
    ],
)
def test_sizes_and_shares_out_of_range_are_refused(
    registry: Registry, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=f"decoder 'add-merge' cannot take {message}"):
        _ = registry.create("decoder", "add-merge", options).value


def test_saved_models_open_in_plain_keras_without_capframe(tmp_path: Path) -> None:
    for number, variant in enumerate(VARIANTS[::5]):
        _, model = built(variant["merge"], variant["shape"], variant["normalise_pictures"])
        model.save(tmp_path / f"{number}.keras")
        features, tokens = features_of(variant["shape"]), tokens_of()
        logits = whole_pass(model, features, tokens)
        np.savez(tmp_path / f"{number}.npz", features=features, tokens=tokens, logits=logits)
    program = (
        "import sys, keras, numpy\n"
        "for number in range(3):\n"
        "    given = numpy.load(f'{number}.npz')\n"
        "    model = keras.models.load_model(f'{number}.keras')\n"
        "    logits = model.predict([given['features'], given['tokens']], verbose=0)\n"
        "    print(float(abs(logits - given['logits']).max()))\n"
        "print('capframe' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=tmp_path, capture_output=True, text=True
    )
    *differences, imported = ran.stdout.split()
    assert len(differences) == 3
    assert max(map(float, differences)) < 1e-5
    assert imported == "False"
