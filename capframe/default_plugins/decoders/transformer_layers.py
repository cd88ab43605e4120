"""The layers of the transformer decoder: words, regions, and blocks of attention."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_LONGEST_WAVE = 10_000.0


class _Sized(keras.layers.Layer):
    """A layer whose constructor's arguments are its configuration."""

    _sizes: dict[str, Any]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._sizes}


@keras.saving.register_keras_serializable("capframe")
class Words(_Sized):
    """Embeds words and their places: ids ``[B, T]`` -> ``[B, T, width]``; and gives logits of hidden states.

    Both use one matrix. The places are sines and cosines, as in Vaswani et al. 2017, so any number of words
    will do.
    """

    def __init__(self, vocabulary_size: int, width: int, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self._sizes = {"vocabulary_size": vocabulary_size, "width": width, "dropout": dropout}
        self.width = width
        self.embedding = self.add_weight(
            (vocabulary_size, width), keras.initializers.RandomNormal(stddev=width**-0.5), name="embedding"
        )
        self.bias = self.add_weight((vocabulary_size,), "zeros", name="bias")
        self.normalise = keras.layers.LayerNormalization(epsilon=1e-5)
        self.drop = keras.layers.Dropout(dropout)

    def build(self, input_shape: Any) -> None:
        """Make the weights of the layers within."""
        self.normalise.build((None, None, self.width))

    def call(self, words: Any, training: bool = False) -> Any:
        """Embed ids; of hidden states (float32 ``[..., width]``) give the logits."""
        if keras.backend.is_float_dtype(words.dtype):
            return ops.matmul(words, ops.transpose(self.embedding)) + self.bias
        return self._embedded(words, ops.arange(ops.shape(words)[1]), training)

    def at(self, words: Any, places: Any, training: bool = False) -> Any:
        """Embed single words: ids ``[B]`` at places ``[B]`` -> ``[B, width]``."""
        return self._embedded(words, places, training)

    def _embedded(self, words: Any, places: Any, training: bool) -> Any:
        embedded = ops.take(self.embedding, words, axis=0) * self.width**0.5
        return self.drop(self.normalise(embedded + self._waves(places)), training=training)

    def _waves(self, places: Any) -> Any:
        """Return sines and cosines of ``places`` ``[T]``: float32 ``[T, width]``."""
        half = (self.width + 1) // 2
        frequencies = _LONGEST_WAVE ** (-ops.cast(ops.arange(half), "float32") / half)
        angles = ops.cast(places, "float32")[:, None] * frequencies
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)[:, : self.width]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the embedded words, or of the logits."""
        if len(input_shape) == 3:
            return (*input_shape[:-1], self._sizes["vocabulary_size"])
        return (*input_shape, self.width)

    def compute_output_spec(self, words: Any, training: bool = False) -> Any:
        """Say what comes out without computing it: ids and hidden states give different things."""
        return keras.KerasTensor(self.compute_output_shape(words.shape), dtype="float32")


@keras.saving.register_keras_serializable("capframe")
class Regions(_Sized):
    """Projects features of regions ``[B, R, C]`` to ``[B, R, width]`` and adds a vector for each place.

    While training, ``region_dropout`` of the regions of each picture are left out, so that there are fewer.
    """

    def __init__(self, width: int, dropout: float, region_dropout: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self._sizes = {"width": width, "dropout": dropout, "region_dropout": region_dropout}
        if region_dropout:
            self.seed_generator = keras.random.SeedGenerator()
        self.project = keras.layers.Dense(width)
        self.drop = keras.layers.Dropout(dropout)
        self.normalise = keras.layers.LayerNormalization(epsilon=1e-5)

    def build(self, input_shape: Any) -> None:
        """Make the weights: how many places there are is known only now."""
        width = self._sizes["width"]
        self.project.build(input_shape)
        self.normalise.build((None, None, width))
        self.places = self.add_weight(
            (input_shape[1], width), keras.initializers.RandomNormal(stddev=0.02), name="places"
        )

    def call(self, features: Any, training: bool = False) -> Any:
        """Project the regions."""
        places = self.places
        if training and self._sizes["region_dropout"]:
            pictures, regions = ops.shape(features)[0], features.shape[1]
            kept = max(1, round((1 - self._sizes["region_dropout"]) * regions))
            drawn = keras.random.uniform((pictures, regions), seed=self.seed_generator)
            chosen = ops.argsort(drawn, axis=1)[:, :kept]
            rows = chosen + regions * ops.arange(pictures)[:, None]
            features = ops.take(ops.reshape(features, (-1, features.shape[2])), rows, axis=0)
            places = ops.take(places, chosen, axis=0)
        return self.normalise(self.project(self.drop(features, training=training)) + places)


@keras.saving.register_keras_serializable("capframe")
class Block(_Sized):
    """Attention over the words so far, attention over the regions, and a layer for each word alone."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self._sizes = {"width": width, "heads": heads, "feed_forward": feed_forward, "dropout": dropout}
        self.width, self.heads, self._depth = width, heads, width // heads
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-5) for _ in range(3)]
        self.words = [keras.layers.Dense(width) for _ in range(4)]
        self.picture = [keras.layers.Dense(width) for _ in range(4)]
        self.inner = keras.layers.Dense(feed_forward, activation="gelu")
        self.outer = keras.layers.Dense(width)
        self.drop = keras.layers.Dropout(dropout)

    def build(self, input_shape: Any) -> None:
        """Make the weights of the layers within."""
        shape = (None, None, self.width)
        for layer in (*self.norms, *self.words, *self.picture, self.inner):
            layer.build(shape)
        self.outer.build((None, None, self._sizes["feed_forward"]))

    def call(self, both: Any, training: bool = False) -> Any:
        """Map hidden states ``[B, T, width]`` and regions ``[B, R, width]`` to hidden states."""
        hidden, regions = both
        return self._pass(hidden, self.remember(hidden), None, self.look(regions), training)

    def remember(self, hidden: Any) -> tuple[Any, Any]:
        """Return keys and values of words."""
        normal = self.norms[0](hidden)
        return self.words[1](normal), self.words[2](normal)

    def look(self, regions: Any) -> tuple[Any, Any]:
        """Return keys and values of regions ``[B, R, width]``."""
        return self.picture[1](regions), self.picture[2](regions)

    def look_by_head(self, regions: Any) -> tuple[Any, Any]:
        """Return keys ``[B, heads, depth, R]`` and values ``[B, heads, R, depth]`` of regions, for `step`."""
        keys, values = (self._split(array) for array in self.look(regions))
        return ops.transpose(keys, (0, 2, 3, 1)), ops.transpose(values, (0, 2, 1, 3))

    def step(self, hidden: Any, words: Any, seen: Any, picture: tuple[Any, Any]) -> Any:
        """Go one word further.

        Args:
            hidden: of the word, ``[B, width]``.
            words: keys and values ``[B, T, width]`` of the words so far.
            seen: which of these are words, ``[B, T]``.
            picture: what `look_by_head` gave.
        """
        hidden = hidden + self._words(hidden[:, None], words, seen[:, None, None, :])[:, 0]
        query = ops.reshape(self.picture[0](self.norms[1](hidden)), (-1, self.heads, 1, self._depth))
        weights = _shares(ops.matmul(query * self._depth**-0.5, picture[0]))
        mixed = ops.reshape(ops.matmul(weights, picture[1]), (-1, self.width))
        hidden = hidden + self.picture[3](mixed)
        return hidden + self.outer(self.inner(self.norms[2](hidden)))

    def packed(self, hidden: Any, captions: Any, pictures: Any, regions: Any, training: bool) -> Any:
        """Do as ``call`` does, for words without padding and with each picture once.

        Args:
            hidden: of all words, ``[W, width]``.
            captions: spreads words over captions, in order, and collects them.
            pictures: spreads words over pictures, in any order, and collects them.
            regions: of each picture, ``[P, R, width]``.
            training: whether to drop.
        """
        keys, values = (captions.spread(words) for words in self.remember(hidden))
        query = captions.spread(self.words[0](self.norms[0](hidden)))
        mixed = captions.collect(self._mixed(values, self._weights(query, keys, _before(query))))
        hidden = hidden + self.drop(self.words[3](mixed), training=training)
        keys, values = self.look(regions)
        query = pictures.spread(self.picture[0](self.norms[1](hidden)))
        mixed = pictures.collect(self._mixed(values, self._weights(query, keys)))
        hidden = hidden + self.drop(self.picture[3](mixed), training=training)
        return hidden + self.drop(self.outer(self.inner(self.norms[2](hidden))), training=training)

    def attention(self, both: Any) -> Any:
        """Return the weights of the regions, the mean over the heads: ``[B, T, R]``."""
        hidden, regions = both
        hidden = hidden + self._words(hidden, self.remember(hidden), None)
        return ops.mean(self._weights(self.picture[0](self.norms[1](hidden)), self.look(regions)[0]), axis=1)

    def _pass(self, hidden: Any, words: Any, seen: Any, picture: Any, training: bool) -> Any:
        hidden = hidden + self.drop(self._words(hidden, words, seen), training=training)
        weights = self._weights(self.picture[0](self.norms[1](hidden)), picture[0])
        hidden = hidden + self.drop(self.picture[3](self._mixed(picture[1], weights)), training=training)
        return hidden + self.drop(self.outer(self.inner(self.norms[2](hidden))), training=training)

    def _words(self, hidden: Any, words: tuple[Any, Any], seen: Any) -> Any:
        """Attend to the words so far; ``seen`` None stands for: each word to those before it and itself."""
        query = self.words[0](self.norms[0](hidden))
        seen = _before(query) if seen is None else seen
        return self.words[3](self._mixed(words[1], self._weights(query, words[0], seen)))

    def _weights(self, query: Any, keys: Any, seen: Any = None) -> Any:
        """Return how queries ``[B, T, width]`` attend to keys ``[B, S, width]``: ``[B, heads, T, S]``."""
        scores = ops.einsum("bthd,bshd->bhts", self._split(query) * self._depth**-0.5, self._split(keys))
        return _shares(scores if seen is None else ops.where(seen, scores, -1e9))

    def _mixed(self, values: Any, weights: Any) -> Any:
        """Mix values ``[B, S, width]`` by weights ``[B, heads, T, S]``: ``[B, T, width]``."""
        mixed = ops.einsum("bhts,bshd->bthd", weights, self._split(values))
        return ops.reshape(mixed, (-1, ops.shape(weights)[2], self.width))

    def _split(self, array: Any) -> Any:
        return ops.reshape(array, (-1, ops.shape(array)[1], self.heads, self._depth))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the hidden states."""
        return input_shape[0]


def _before(words: Any) -> Any:
    """Return which words each word of ``[B, T, width]`` sees: itself and those before it."""
    places = ops.arange(ops.shape(words)[1])
    return places[None, None, :, None] >= places[None, None, None, :]


def _shares(scores: Any) -> Any:
    """Do as softmax does, which warns of a single region, where the weight is rightly 1."""
    return ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True))
