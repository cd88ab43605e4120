"""The show-attend-tell decoder: an LSTM that looks at the regions of the picture before each word.

Source: K. Xu et al., "Show, attend and tell: neural image caption generation with visual attention", ICML
2015, with soft attention.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from capframe.errors import OptionError

from .packed_lstm import pack
from .show_attend_tell_layers import AttentiveWords, DeepOutput
from .spread import Spread


class ShowAttendTell:
    """LSTM over the words, with soft attention over the regions of the picture.

    The paper's penalty for regions that get much or little attention over a whole caption ("doubly stochastic
    attention") is left out: a decoder gives logits, and the loss is made of these alone.

    Args:
        units: width of the LSTM.
        embedding_size: width of the word embedding, and of the layer before the logits.
        attention_size: width of the layer that weighs the regions.
        dropout: share of features, of embeddings and of hidden values before the logits that is dropped while
            training.

    Raises:
        OptionError: a size or share is out of range.
    """

    def __init__(
        self,
        *,
        units: int = 512,
        embedding_size: int = 256,
        attention_size: int = 256,
        dropout: float = 0.5,
    ) -> None:
        sizes = {"units": units, "embedding_size": embedding_size, "attention_size": attention_size}
        for name, size in sizes.items():
            if size < 1:
                raise OptionError(
                    f"The decoder 'show-attend-tell' cannot take {name}={size}: it must be 1 or more."
                )
        if not 0 <= dropout < 1:
            raise OptionError(
                f"The decoder 'show-attend-tell' cannot take dropout={dropout}: it must be from 0 to below 1."
            )
        self.units = units
        self.embedding_size = embedding_size
        self.attention_size = attention_size
        self.dropout = dropout

    def build(self, feature_shape: tuple[int, ...], vocabulary_size: int) -> keras.Model:
        """Return a model that maps ``[features, tokens]`` to logits ``[B, T, V]``; a vector is one region."""
        layers = keras.layers
        features = keras.Input(feature_shape, dtype="float32", name="features")
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        regions = layers.Reshape((-1, feature_shape[-1]), name="grid")(features)
        regions = layers.Dropout(self.dropout, name="region_dropout")(regions)
        words = layers.Embedding(vocabulary_size, self.embedding_size, name="word_embedding")(tokens)
        words = layers.Dropout(self.dropout, name="word_dropout")(words)
        attentive = AttentiveWords(self.units, self.attention_size, name="attentive_words")
        states = attentive([words, regions])
        hidden = DeepOutput(self.embedding_size, self.dropout, name="deep_output")([words, states])
        logits = layers.Dense(vocabulary_size, name="logits")(hidden)
        return keras.Model([features, tokens], logits, name="show_attend_tell")

    def start(self, model: keras.Model, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the state before the first word.

        ``regions`` is ``[B, R, C]``, ``keys`` (their part of the attention) ``[B, R, attention_size]``,
        ``hidden`` and ``cell`` are ``[B, units]``.
        """
        attentive = model.get_layer("attentive_words")
        regions = model.get_layer("grid")(features)
        hidden, cell = attentive.start(regions)
        return {"regions": regions, "keys": attentive.keys(regions), "hidden": hidden, "cell": cell}

    def step(
        self, model: keras.Model, tokens: tf.Tensor, state: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Feed one word: ``tokens`` int32 ``[B]`` -> logits ``[B, V]`` and the next state."""
        attentive = model.get_layer("attentive_words")
        word = model.get_layer("word_embedding")(tokens)
        hidden, cell, context, _ = attentive.step(
            attentive.gates(word), state["hidden"], state["cell"], state["regions"], state["keys"]
        )
        states = tf.concat([hidden, context], axis=-1)
        logits = model.get_layer("logits")(model.get_layer("deep_output")([word, states]))
        return logits, {**state, "hidden": hidden, "cell": cell}

    def hidden_words(
        self,
        model: keras.Model,
        features: tf.Tensor,
        pictures: tf.Tensor,
        tokens: tf.Tensor,
        training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the layer before the logits of each word that is no padding, and where it stands."""
        places, sizes = pack(tokens)
        own = tf.gather(pictures, places // tf.shape(tokens)[1])
        regions = model.get_layer("region_dropout")(model.get_layer("grid")(features), training=training)
        words = model.get_layer("word_embedding")(tf.gather(tf.reshape(tokens, [-1]), places))
        words = model.get_layer("word_dropout")(words, training=training)
        hidden, shares = model.get_layer("attentive_words").packed(words, sizes, own, regions)
        by_picture = Spread.of(own, tf.shape(features)[0])
        output = model.get_layer("deep_output")
        return output.packed(words, hidden, (regions, shares, by_picture), training), places

    def output_weights(self, model: keras.Model) -> tuple[tf.Tensor, tf.Tensor]:
        """Return kernel ``[embedding_size, V]`` and bias ``[V]`` of the last layer."""
        logits = model.get_layer("logits")
        return logits.kernel, logits.bias

    def attention(self, model: keras.Model, features: Any, tokens: Any) -> tf.Tensor:
        """Return which regions each word was predicted from, float32 ``[B, T, R]``; each row sums to 1."""
        regions = model.get_layer("grid")(features)
        words = model.get_layer("word_embedding")(tokens)
        return model.get_layer("attentive_words").attention([words, regions])
