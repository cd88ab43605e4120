"""The layers of the show-attend-tell decoder: an LSTM that attends to regions, and what follows it.

The equations are those of K. Xu et al., "Show, attend and tell", ICML 2015, sections 3.1 and 4.2.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from .packed_attention import Pictures, Start, Weights, packed_attention


@keras.saving.register_keras_serializable("capframe")
class AttentiveWords(keras.layers.Layer):
    """An LSTM over words ``[B, T, E]`` that attends to regions ``[B, R, C]`` before each word.

    It gives ``[B, T, units + C]``: the hidden state after each word, and what was seen of the regions for it.
    """

    def __init__(self, units: int, attention_size: int, **options: Any) -> None:
        super().__init__(**options)
        self._sizes = {"units": units, "attention_size": attention_size}
        self.first_hidden = keras.layers.Dense(units, activation="tanh", name="first_hidden")
        self.first_cell = keras.layers.Dense(units, activation="tanh", name="first_cell")
        self.region_keys = keras.layers.Dense(attention_size, name="region_keys")
        # One product of the hidden state: its parts of the attention, of the scalar beta and of the gates.
        self.from_hidden = keras.layers.Dense(attention_size + 1 + 4 * units, name="from_hidden")
        self.score = keras.layers.Dense(1, use_bias=False, name="score")
        self.from_word = keras.layers.Dense(4 * units, use_bias=False, name="from_word")
        self.from_context = keras.layers.Dense(4 * units, use_bias=False, name="from_context")

    def build(self, input_shape: Any) -> None:
        """Make the weights of the layers within."""
        words, regions = input_shape
        for layer in (self.first_hidden, self.first_cell, self.region_keys, self.from_context):
            layer.build((None, regions[-1]))
        self.from_hidden.build((None, self._sizes["units"]))
        self.score.build((None, self._sizes["attention_size"]))
        self.from_word.build((None, words[-1]))

    def call(self, both: Any) -> Any:
        """Map words ``[B, T, E]`` and regions ``[B, R, C]`` to hidden states and contexts."""
        return self._scan(both)[0]

    def attention(self, both: Any) -> Any:
        """Return the weights of the regions before each word: ``[B, T, R]``."""
        return self._scan(both)[1]

    def start(self, regions: Any) -> tuple[Any, Any]:
        """Return hidden state and cell before the first word, of the mean region."""
        mean = ops.mean(regions, axis=1)
        return self.first_hidden(mean), self.first_cell(mean)

    def keys(self, regions: Any) -> Any:
        """Return the part of the regions in their attention: ``[B, R, attention_size]``."""
        return self.region_keys(regions)

    def gates(self, words: Any) -> Any:
        """Return the part of embedded words in the gates of the LSTM: ``[..., 4 units]``."""
        return self.from_word(words)

    def step(self, gates: Any, hidden: Any, cell: Any, regions: Any, keys: Any) -> tuple[Any, Any, Any, Any]:
        """Go one word further.

        Args:
            gates: what the word gives to the gates, ``[B, 4 units]``.
            hidden: state after the word before, ``[B, units]``.
            cell: likewise.
            regions: ``[B, R, C]``.
            keys: their part of the attention, ``[B, R, attention_size]``.

        Returns:
            Hidden state and cell ``[B, units]``, the context ``[B, C]`` and its weights ``[B, R]``.
        """
        size = self._sizes["attention_size"]
        given = self.from_hidden(hidden)
        scores = self.score(ops.tanh(keys + given[:, None, :size]))[..., 0]
        # As softmax, which warns of a single region, where the weight is rightly 1.
        weights = ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True))
        mixed = ops.matmul(weights[:, None, :], regions)[:, 0]
        context = ops.sigmoid(given[:, size : size + 1]) * mixed
        enter, forget, new, out = ops.split(
            gates + given[:, size + 1 :] + self.from_context(context), 4, axis=-1
        )
        cell = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(new)
        return ops.sigmoid(out) * ops.tanh(cell), cell, context, weights

    def packed(self, words: Any, sizes: Any, own: Any, regions: Any) -> tuple[Any, Any]:
        """Do as ``call`` does, for words without padding and with each picture once.

        Args:
            words: embedded, ``[W, E]``, in the order of `packed_lstm.pack`.
            sizes: as that gives them.
            own: the picture of each word, int32 ``[W]``.
            regions: of each picture, ``[P, R, C]``.

        Returns:
            Hidden states ``[W, units]``, and weights ``[W, R]`` with which regions add up to contexts.
        """
        # As a matrix: the derivative of a product with three dimensions takes a kernel for each picture.
        flat = ops.reshape(regions, (-1, regions.shape[-1]))
        given = (self.region_keys(flat), self.from_context(flat))
        seen = Pictures(*(ops.reshape(part, (-1, regions.shape[1], part.shape[-1])) for part in given))
        passed = (self.from_hidden.kernel, self.from_hidden.bias, self.score.kernel)
        weights = Weights(*(tf.convert_to_tensor(weight) for weight in passed))
        return packed_attention(self.gates(words), (sizes, own), Start(*self.start(regions)), seen, weights)

    def _scan(self, both: Any) -> tuple[Any, Any]:
        words, regions = both
        keys = self.keys(regions)

        def step(state: Any, gates: Any) -> Any:
            return self.step(gates, state[0], state[1], regions, keys)

        empty = (tf.zeros_like(regions[:, 0]), tf.zeros_like(regions[:, :, 0]))
        hidden, _, contexts, weights = tf.scan(
            step, ops.swapaxes(self.gates(words), 0, 1), (*self.start(regions), *empty)
        )
        states = ops.concatenate([hidden, contexts], axis=-1)
        return ops.swapaxes(states, 0, 1), ops.swapaxes(weights, 0, 1)

    def compute_output_spec(self, both: Any) -> Any:
        """Say what comes out without computing it."""
        words, regions = both
        shape = (*words.shape[:-1], self._sizes["units"] + regions.shape[-1])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), **self._sizes}


@keras.saving.register_keras_serializable("capframe")
class DeepOutput(keras.layers.Layer):
    """Adds embedded words ``[..., E]`` and projections of what follows them, ``[..., units + C]``."""

    def __init__(self, width: int, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self._sizes = {"width": width, "dropout": dropout}
        self.project = keras.layers.Dense(width, name="project")
        self.drop = keras.layers.Dropout(dropout, name="drop")

    def build(self, input_shape: Any) -> None:
        """Make the weights of the layer within."""
        self.project.build(input_shape[1])

    def call(self, both: Any, training: bool = False) -> Any:
        """Return ``[..., E]``."""
        words, states = both
        return self.drop(ops.tanh(words + self.project(states)), training=training)

    def packed(self, words: Any, hidden: Any, seen: tuple[Any, Any, Any], training: bool) -> Any:
        """Do as ``call`` does, for words without padding and with each picture once.

        Args:
            words: embedded, ``[W, E]``.
            hidden: states after them, ``[W, units]``.
            seen: regions of each picture, ``[P, R, C]``; weights with which they add up to contexts,
                ``[W, R]``; and what spreads words over pictures, in any order, and collects them.
            training: whether to drop.
        """
        regions, shares, pictures = seen
        units = hidden.shape[-1]
        kernel = ops.convert_to_tensor(self.project.kernel)
        values = ops.matmul(ops.reshape(regions, (-1, regions.shape[-1])), kernel[units:])
        values = ops.reshape(values, (-1, regions.shape[1], values.shape[-1]))
        mixed = pictures.collect(ops.matmul(pictures.spread(shares), values))
        projected = ops.matmul(hidden, kernel[:units]) + mixed + self.project.bias
        return self.drop(ops.tanh(words + projected), training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the embedded words."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), **self._sizes}
