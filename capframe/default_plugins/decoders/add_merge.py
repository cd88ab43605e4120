"""The add-merge decoder: words go through an LSTM that never sees the picture; the two meet by addition.

Source: M. Tanti, A. Gatt, K. P. Camilleri, "Where to put the image in an image caption generator",
Natural Language Engineering 24(3), 2018: the *merge* architecture.
"""

from __future__ import annotations

from typing import Literal

import keras
import tensorflow as tf

from capframe.errors import OptionError

from .packed_lstm import pack, packed_lstm


class AddMerge:
    """Embedding + LSTM over the words, a dense projection of the picture, merged at every position.

    The LSTM does not depend on the picture, so one pass over a caption of n words gives the n
    predictions for which a generator of prefixes would need n rows.

    Args:
        units: width of the LSTM, of the picture's projection and of the hidden layer.
        embedding_size: width of the word embedding.
        dropout: share of picture features and of word embeddings that is dropped while training.
        merge: ``add`` adds picture and words; ``concat`` concatenates them before the hidden layer.
        normalise_pictures: scale every picture vector to Euclidean length 1 first.

    Raises:
        OptionError: a size or share is out of range.
    """

    def __init__(
        self,
        units: int = 256,
        embedding_size: int = 256,
        dropout: float = 0.5,
        merge: Literal["add", "concat"] = "add",
        normalise_pictures: bool = False,
    ) -> None:
        for name, size in (("units", units), ("embedding_size", embedding_size)):
            if size < 1:
                raise OptionError(f"The decoder 'add-merge' cannot take {name}={size}: it must be 1 or more.")
        if not 0 <= dropout < 1:
            raise OptionError(
                f"The decoder 'add-merge' cannot take dropout={dropout}: it must be from 0 to below 1."
            )
        self.units = units
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.merge = merge
        self.normalise_pictures = normalise_pictures

    def build(self, feature_shape: tuple[int, ...], vocabulary_size: int) -> keras.Model:
        """Return a model of Keras layers alone: ``[features, tokens]`` -> logits ``[B, T, V]``.

        A grid of regions ``(R, C)`` is averaged over its regions first.
        """
        layers = keras.layers
        features = keras.Input(feature_shape, dtype="float32", name="features")
        tokens = keras.Input((None,), dtype="int32", name="tokens")

        picture = features
        if len(feature_shape) > 1:
            picture = layers.Reshape((-1, feature_shape[-1]), name="picture_regions")(picture)
            picture = layers.GlobalAveragePooling1D(name="picture_mean")(picture)
        if self.normalise_pictures:
            picture = layers.UnitNormalization(name="picture_normalised")(picture)
        picture = layers.Dropout(self.dropout, name="picture_dropout")(picture)
        picture = layers.Dense(self.units, activation="relu", name="picture")(picture)

        words = layers.Embedding(vocabulary_size, self.embedding_size, name="word_embedding")(tokens)
        words = layers.Dropout(self.dropout, name="word_dropout")(words)
        words = layers.LSTM(self.units, return_sequences=True, name="words")(words)

        if self.merge == "concat":
            # Dense(concat(p, w)) = p P + w W + b: the same numbers, without a copy of p per word.
            picture = layers.Dense(self.units, use_bias=False, name="merge_picture")(picture)
            words = layers.Dense(self.units, name="merge_words")(words)
        picture = layers.Reshape((1, self.units), name="picture_position")(picture)
        merged = layers.Add(name="merge")([picture, words])
        if self.merge == "concat":
            hidden = layers.Activation("relu", name="hidden")(merged)
        else:
            hidden = layers.Dense(self.units, activation="relu", name="hidden")(merged)
        logits = layers.Dense(vocabulary_size, name="logits")(hidden)
        return keras.Model([features, tokens], logits, name="add_merge")

    def start(self, model: keras.Model, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the picture's projection ``[B, units]`` and an LSTM state of zeros."""
        picture = self._picture(model, features, training=False)
        zeros = tf.zeros_like(picture)
        return {"picture": picture, "hidden": zeros, "cell": zeros}

    def step(
        self, model: keras.Model, tokens: tf.Tensor, state: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Feed one word: ``tokens`` int32 ``[B]`` -> logits ``[B, V]`` and the next state."""
        embedded = model.get_layer("word_embedding")(tokens)
        words, (hidden, cell) = model.get_layer("words").cell(embedded, [state["hidden"], state["cell"]])
        if self.merge == "concat":
            words = model.get_layer("merge_words")(words)
        merged = model.get_layer("hidden")(state["picture"] + words)
        logits = model.get_layer("logits")(merged)
        return logits, {"picture": state["picture"], "hidden": hidden, "cell": cell}

    def hidden_words(
        self,
        model: keras.Model,
        features: tf.Tensor,
        pictures: tf.Tensor,
        tokens: tf.Tensor,
        training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the hidden layer of each word that is no padding, and where it stands in ``tokens``."""
        places, sizes = pack(tokens)
        picture = self._picture(model, features, training)
        words = model.get_layer("word_embedding")(tf.gather(tf.reshape(tokens, [-1]), places))
        words = model.get_layer("word_dropout")(words, training=training)
        words = packed_lstm(words, sizes, model.get_layer("words").cell)
        if self.merge == "concat":
            words = model.get_layer("merge_words")(words)
        own = tf.gather(picture, tf.gather(pictures, places // tf.shape(tokens)[1]))
        return model.get_layer("hidden")(words + own), places

    def output_weights(self, model: keras.Model) -> tuple[tf.Tensor, tf.Tensor]:
        """Return kernel ``[units, V]`` and bias ``[V]`` of the last layer."""
        logits = model.get_layer("logits")
        return logits.kernel, logits.bias

    def _picture(self, model: keras.Model, features: tf.Tensor, training: bool) -> tf.Tensor:
        present = {layer.name for layer in model.layers}
        for name in ("picture_regions", "picture_mean", "picture_normalised"):
            if name in present:
                features = model.get_layer(name)(features)
        picture = model.get_layer("picture")(model.get_layer("picture_dropout")(features, training=training))
        return model.get_layer("merge_picture")(picture) if self.merge == "concat" else picture
