"""The transformer decoder: words look at the words before them, and at the regions of the picture.

Source: A. Vaswani et al., "Attention is all you need", NIPS 2017. The normalisation comes before each part:
R. Xiong et al., "On layer normalization in the transformer architecture", ICML 2020. Embedding and output
share their weights: O. Press and L. Wolf, "Using the output embedding to improve language models", EACL 2017.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from capframe.errors import OptionError

from .spread import Spread
from .transformer_layers import Block, Regions, Words


class Transformer:
    """Transformer over the words, with attention over the regions of the picture.

    Args:
        layers: how many blocks lie one on the other.
        width: of the word embedding and of every block; a multiple of ``heads``.
        heads: of each attention.
        feed_forward: width of the hidden layer in a block.
        dropout: share of features, of embeddings and of what each block adds that is dropped while training.
        region_dropout: share of the regions of each picture that the decoder does not see in a step of
            training.
        max_words: no caption can be longer.

    Raises:
        OptionError: a size or share is out of range.
    """

    def __init__(
        self,
        *,
        layers: int = 2,
        width: int = 256,
        heads: int = 8,
        feed_forward: int = 1024,
        dropout: float = 0.3,
        region_dropout: float = 0.0,
        max_words: int = 64,
    ) -> None:
        sizes = {"layers": layers, "width": width, "heads": heads, "feed_forward": feed_forward}
        for name, size in {**sizes, "max_words": max_words}.items():
            if size < 1:
                raise OptionError(
                    f"The decoder 'transformer' cannot take {name}={size}: it must be 1 or more."
                )
        if width % heads:
            raise OptionError(
                f"The decoder 'transformer' cannot take width={width} with heads={heads}: the width must be "
                "a multiple of the heads."
            )
        for name, share in (("dropout", dropout), ("region_dropout", region_dropout)):
            if not 0 <= share < 1:
                raise OptionError(
                    f"The decoder 'transformer' cannot take {name}={share}: it must be from 0 to below 1."
                )
        self.layers = layers
        self.width = width
        self.heads = heads
        self.feed_forward = feed_forward
        self.dropout = dropout
        self.region_dropout = region_dropout
        self.max_words = max_words

    def build(self, feature_shape: tuple[int, ...], vocabulary_size: int) -> keras.Model:
        """Return a model that maps ``[features, tokens]`` to logits ``[B, T, V]``; a vector is one region."""
        features = keras.Input(feature_shape, dtype="float32", name="features")
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        grid = keras.layers.Reshape((-1, feature_shape[-1]), name="grid")(features)
        regions = Regions(self.width, self.dropout, self.region_dropout, name="regions")(grid)
        words = Words(vocabulary_size, self.width, self.dropout, name="words")
        hidden = words(tokens)
        for number in range(self.layers):
            block = Block(self.width, self.heads, self.feed_forward, self.dropout, name=f"block_{number}")
            hidden = block([hidden, regions])
        hidden = keras.layers.LayerNormalization(epsilon=1e-5, name="hidden")(hidden)
        logits = words(hidden)
        return keras.Model([features, tokens], logits, name="transformer")

    def start(self, model: keras.Model, features: tf.Tensor) -> dict[str, Any]:
        """Return keys and values of the regions, and room for those of the words.

        ``picture`` has for each layer keys ``[B, heads, depth, R]`` and values ``[B, heads, R, depth]``;
        ``words`` has for each layer keys and values, ``[B, max_words + 1, 2 * width]``; ``place`` ``[B]`` is
        how many words there are.
        """
        regions = model.get_layer("regions")(model.get_layer("grid")(features))
        batch = tf.shape(features)[0]
        room = tf.zeros((batch, self.max_words + 1, 2 * self.width))
        return {
            "picture": tuple(block.look_by_head(regions) for block in self._blocks(model)),
            "words": (room,) * self.layers,
            "place": tf.zeros((batch,), tf.int32),
        }

    def step(
        self, model: keras.Model, tokens: tf.Tensor, state: dict[str, Any]
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        """Feed one word: ``tokens`` int32 ``[B]`` -> logits ``[B, V]`` and the next state."""
        place, words = state["place"], model.get_layer("words")
        within = tf.debugging.assert_less_equal(
            place, self.max_words, "A caption is longer than the option max_words of the decoder."
        )
        with tf.control_dependencies([within] if within is not None else []):
            hidden = words.at(tokens, place)
        here = tf.stack([tf.range(tf.size(place)), place], axis=1)
        # What is still empty need not be looked at. XLA, which compiles for a batch of one size, cannot cut.
        known = self.max_words + 1 if place.shape[0] is not None else tf.reduce_max(place) + 1
        seen = tf.sequence_mask(place + 1, known)
        memories = []
        for block, before, picture in zip(self._blocks(model), state["words"], state["picture"], strict=True):
            memory = tf.tensor_scatter_nd_update(before, here, tf.concat(block.remember(hidden), axis=1))
            hidden = block.step(hidden, tf.split(memory[:, :known], 2, axis=2), seen, picture)
            memories.append(memory)
        logits = words(model.get_layer("hidden")(hidden))
        return logits, {"picture": state["picture"], "words": tuple(memories), "place": place + 1}

    def hidden_words(
        self,
        model: keras.Model,
        features: tf.Tensor,
        pictures: tf.Tensor,
        tokens: tf.Tensor,
        training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the last hidden state of each word that is no padding, and where it stands in ``tokens``."""
        length = tf.shape(tokens)[1]
        places = tf.cast(tf.where(tf.reshape(tokens, [-1]) != 0)[:, 0], tf.int32)
        captions = Spread(places, tf.shape(tokens)[0], length)
        own = tf.gather(pictures, places // length)
        regions = model.get_layer("regions")(model.get_layer("grid")(features), training=training)
        by_picture = Spread.of(own, tf.shape(features)[0])
        words = tf.gather(tf.reshape(tokens, [-1]), places)
        hidden = model.get_layer("words").at(words, places % length, training)
        for block in self._blocks(model):
            hidden = block.packed(hidden, captions, by_picture, regions, training)
        return model.get_layer("hidden")(hidden), places

    def output_weights(self, model: keras.Model) -> tuple[tf.Tensor, tf.Tensor]:
        """Return kernel ``[width, V]``, the turned embedding, and bias ``[V]`` of the last layer."""
        words = model.get_layer("words")
        return tf.transpose(words.embedding), words.bias

    def attention(self, model: keras.Model, features: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
        """Return which regions each word was predicted from, float32 ``[B, T, R]``; each row sums to 1.

        It is the mean over the heads of the last block.
        """
        regions = model.get_layer("regions")(model.get_layer("grid")(features))
        hidden = model.get_layer("words")(tokens)
        *blocks, last = self._blocks(model)
        for block in blocks:
            hidden = block([hidden, regions])
        return last.attention([hidden, regions])

    def _blocks(self, model: keras.Model) -> list[Any]:
        return [model.get_layer(f"block_{number}") for number in range(self.layers)]
