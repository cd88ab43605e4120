"""Greedy and beam search over ``Decoder.step``, in one compiled graph.

Beam search keeps the ``beam`` best unfinished captions of each picture. At every step the 2 x beam
best continuations are ranked; those among the first ``beam`` that end are finished, the best ``beam``
that do not end live on. A picture is done when ``beam`` captions have finished, or when no live one can
still reach the score of the best finished one. A beam of 1 is greedy search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .options import check_options
from .vocabulary import END, PAD, START, UNK

if TYPE_CHECKING:
    import keras

    from .interfaces import Decoder


@dataclass(frozen=True)
class SearchOptions:
    """How captions are searched.

    Attributes:
        beam: beam width; 1 is greedy.
        max_words: a caption that has not ended after so many words is cut there.
        min_words: no caption ends before it has so many words.
        length_penalty: a caption of n words (its end counted) scores log-probability / n ** penalty;
            0 compares plain log-probabilities, 1 their mean per word.
    """

    beam: int = 3
    max_words: int = 40
    min_words: int = 1
    length_penalty: float = 0.7

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise UsageError(f"The beam width is {self.beam}; it must be 1 (greedy) or more.")
        if not 0 <= self.min_words <= self.max_words or self.max_words < 1:
            raise UsageError(
                f"min_words={self.min_words} and max_words={self.max_words} do not go together: "
                "0 <= min_words <= max_words and max_words >= 1 must hold."
            )
        if not 0 <= self.length_penalty < float("inf"):
            raise UsageError(f"The length penalty is {self.length_penalty}; it must be 0 or more.")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SearchOptions:
        """Check options given by name.

        Raises:
            OptionError: there is no such option, or its value has a wrong type.
            UsageError: a value is out of range.
        """
        return cls(**check_options("search", cls, given))

    def __str__(self) -> str:
        return (
            f"beam:{self.beam}|length-penalty:{self.length_penalty:g}|words:{self.min_words}-{self.max_words}"
        )


class Search:
    """Searches captions with one decoder and its model; compiles once for each beam width.

    Args:
        decoder: offers ``start`` and ``step``.
        model: what ``decoder.build`` returned, trained.
        chunk: how many pictures are searched at a time.
    """

    def __init__(self, decoder: Decoder, model: keras.Model, chunk: int = 256) -> None:
        self.decoder = decoder
        self.model = model
        self.chunk = chunk
        self._compiled: dict[int, Callable[..., Any]] = {}

    def __call__(
        self, features: NDArray[np.float32], options: SearchOptions | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Search the best caption of each picture.

        Args:
            features: float32 ``[N, *feature_shape]``.
            options: beam width, bounds and length penalty.

        Returns:
            Token ids int32 ``[N, max_words]`` (fewer where the decoder's ``max_words`` is lower) without
            ``<start>``, ``<end>`` and after it ``<pad>``; and scores float32 ``[N]``.
        """
        options = options or SearchOptions()
        most = min(options.max_words, getattr(self.decoder, "max_words", options.max_words))
        options = replace(options, max_words=most, min_words=min(options.min_words, most))
        if options.beam not in self._compiled:
            self._compiled[options.beam] = _compile(self.decoder, self.model, options.beam)
        search = self._compiled[options.beam]
        tokens = np.full((len(features), options.max_words), PAD, np.int32)
        scores = np.zeros(len(features), np.float32)
        for first in range(0, len(features), self.chunk):
            rows = slice(first, first + self.chunk)
            found = search(
                np.asarray(features[rows], np.float32),
                np.int32(options.max_words),
                np.int32(options.min_words),
                np.float32(options.length_penalty),
            )
            tokens[rows], scores[rows] = found[0].numpy(), found[1].numpy()
        return tokens, scores


def _compile(decoder: Decoder, model: keras.Model, beam: int) -> Callable[..., Any]:
    import tensorflow as tf

    feature_shape = model.inputs[0].shape[1:]
    never = tf.constant([PAD, UNK, START])

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec([None, *feature_shape], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.float32),
        ]
    )
    def search(features: Any, max_words: Any, min_words: Any, length_penalty: Any) -> Any:
        batch = tf.shape(features)[0]
        rows = tf.range(batch)[:, None] * beam
        state = decoder.start(model, features)
        state = tf.nest.map_structure(lambda tensor: tf.repeat(tensor, beam, axis=0), state)
        longest = tf.cast(max_words + 1, tf.float32) ** length_penalty

        def step(*loop: Any) -> Any:
            t, last, state, live, words, best, found, ended = loop
            logits, state = decoder.step(model, tf.reshape(last, [-1]), state)
            size = tf.shape(logits)[-1]
            barred = tf.reduce_sum(tf.one_hot(never, size, on_value=-np.inf, off_value=0.0), axis=0)
            barred += tf.one_hot(END, size, on_value=tf.where(t < min_words, -np.inf, 0.0), off_value=0.0)
            totals = tf.reshape(tf.nn.log_softmax(tf.cast(logits, tf.float32)) + barred, [batch, beam, size])
            totals = tf.reshape(totals + live[:, :, None], [batch, beam * size])
            ranked, index = tf.math.top_k(totals, k=2 * beam)
            token, parent = index % size, index // size
            ends = tf.equal(token, END)

            done = _done(live, best, ended)
            closing = ends & (tf.range(2 * beam) < beam) & tf.math.is_finite(ranked) & ~done[:, None]
            length = tf.cast(t + 1, tf.float32) ** length_penalty
            closed = tf.where(closing, ranked / length, -np.inf)
            winner = tf.argmax(closed, axis=1, output_type=tf.int32)
            score = tf.gather(closed, winner, batch_dims=1)
            caption = tf.gather(words, tf.gather(parent, winner, batch_dims=1), batch_dims=1)
            better = score > best
            best = tf.where(better, score, best)
            found = tf.where(better[:, None], caption, found)
            ended += tf.reduce_sum(tf.cast(closing, tf.int32), axis=1)

            alive, chosen = tf.math.top_k(tf.where(ends, -np.inf, ranked), k=beam)
            last = tf.gather(token, chosen, batch_dims=1)
            parent = tf.gather(parent, chosen, batch_dims=1)
            longer = tf.gather(words, parent, batch_dims=1)
            longer = tf.where(tf.range(max_words) == t, last[:, :, None], longer)
            # A caption of max_words words may still end, but it cannot grow.
            live = tf.where(t < max_words, alive, live)
            words = tf.where(t < max_words, longer, words)
            origin = tf.reshape(rows + parent, [-1])
            state = tf.nest.map_structure(lambda tensor: tf.gather(tensor, origin), state)
            return t + 1, last, state, live, words, best, found, ended

        def _done(live: Any, best: Any, ended: Any) -> Any:
            # The log-probability of a live caption only falls; at full length it is divided by the most.
            return (ended >= beam) | (best >= tf.reduce_max(live, axis=1) / longest)

        def unfinished(*loop: Any) -> Any:
            t, _, _, live, _, best, _, ended = loop
            return (t <= max_words) & ~tf.reduce_all(_done(live, best, ended))

        def any_batch(tensor: Any) -> Any:
            return tf.TensorShape([None, *tensor.shape[1:]] if tensor.shape.rank else [])

        variables = (
            tf.constant(0),
            tf.fill([batch, beam], START),
            state,
            tf.tile(tf.constant([[0.0] + [-np.inf] * (beam - 1)]), [batch, 1]),
            tf.zeros([batch, beam, max_words], tf.int32),
            tf.fill([batch], -np.inf),
            tf.zeros([batch, max_words], tf.int32),
            tf.zeros([batch], tf.int32),
        )
        shapes = tf.nest.map_structure(any_batch, variables)
        _, _, _, live, words, best, found, _ = tf.while_loop(
            unfinished, step, variables, shape_invariants=shapes
        )
        # Nothing ended within max_words: the best prefix stands in.
        none = tf.math.is_inf(best)
        prefix_score = live[:, 0] / tf.cast(max_words, tf.float32) ** length_penalty
        return tf.where(none[:, None], words[:, 0], found), tf.where(none, prefix_score, best)

    compiled: Callable[..., Any] = search
    return compiled
