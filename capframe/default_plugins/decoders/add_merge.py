"""The add-merge decoder: words go through an LSTM that never sees the picture; the two meet by addition.

Source: M. Tanti, A. Gatt, K. P. Camilleri, "Where to put the image in an image caption generator",
Natural Language Engineering 24(3), 2018: the *merge* architecture.
"""

from __future__ import annotations

from typing import Literal

import keras
import tensorflow as tf

from capframe.errors import OptionError


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
        names = ("picture_regions", "picture_mean", "picture_normalised", "picture", "merge_picture")
        present = {layer.name for layer in model.layers}
        picture = features
        for name in names:
            if name in present:
                picture = model.get_layer(name)(picture)
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
