"""Greedy and beam search over ``Decoder.step``, in one compiled graph.

Beam search keeps the ``beam`` best unfinished captions of each picture. At every step the 2 x beam
best continuations are ranked; those among the first ``beam`` that end are finished, the best ``beam``
that do not end live on. A picture is done when ``beam`` captions have finished, or when no live one can
still reach the score of the best finished one. A beam of 1 is greedy search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .beam_search import Loop, Rules
from .compile_later import CompileLater
from .errors import UsageError
from .options import check_options
from .vocabulary import PAD

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
        block_repeats: no run of so many words occurs twice in a caption; 3 blocks repeated trigrams (Paulus,
            Xiong and Socher, "A deep reinforced model for abstractive summarization", ICLR 2018); 0 blocks
            nothing.
    """

    beam: int = 3
    max_words: int = 40
    min_words: int = 1
    length_penalty: float = 0.7
    block_repeats: int = 0

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
        if self.block_repeats < 0:
            raise UsageError(
                f"block_repeats is {self.block_repeats}; it must be a number of words, such as 3, or 0."
            )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SearchOptions:
        """Check options given by name.

        Raises:
            OptionError: there is no such option, or its value has a wrong type.
            UsageError: a value is out of range.
        """
        return cls(**check_options("search", cls, given))

    def __str__(self) -> str:
        blocked = f"|block-repeats:{self.block_repeats}" if self.block_repeats else ""
        return (
            f"beam:{self.beam}|length-penalty:{self.length_penalty:g}"
            f"|words:{self.min_words}-{self.max_words}{blocked}"
        )


class Search:
    """Searches captions with one decoder, or with several; compiles once for each beam width.

    The first picture on its own is searched without compiling, and single pictures that come again and again
    by XLA; see `capframe.compile_later`.

    Several average their probabilities of each word.

    Args:
        decoder: offers ``start`` and ``step``.
        model: what ``decoder.build`` returned, trained.
        *further: other decoders with their models, which share the vocabulary.
        chunk: how many pictures are searched at a time.
    """

    def __init__(
        self, decoder: Decoder, model: keras.Model, *further: tuple[Decoder, keras.Model], chunk: int = 256
    ) -> None:
        self.decoder = decoder
        self.model = model
        self.members = ((decoder, model), *further)
        self.chunk = chunk
        self._compiled: dict[tuple[int, int], CompileLater] = {}

    def __call__(
        self,
        features: NDArray[np.float32] | Sequence[NDArray[np.float32]],
        options: SearchOptions | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Search the best caption of each picture.

        Args:
            features: float32 ``[N, *feature_shape]``; for several decoders one such array each.
            options: beam width, bounds, length penalty and what is blocked.

        Returns:
            Token ids int32 ``[N, max_words]`` (fewer where a decoder's ``max_words`` is lower) without
            ``<start>``, ``<end>`` and after it ``<pad>``; and scores float32 ``[N]``.
        """
        options = options or SearchOptions()
        each = (features,) if isinstance(features, np.ndarray) else tuple(features)
        most = min(getattr(decoder, "max_words", options.max_words) for decoder, _ in self.members)
        most = min(options.max_words, most)
        options = replace(options, max_words=most, min_words=min(options.min_words, most))
        compiled = options.beam, options.block_repeats
        if compiled not in self._compiled:
            self._compiled[compiled] = _compile(self.members, *compiled)
        search = self._compiled[compiled]
        pictures = len(each[0])
        tokens = np.full((pictures, options.max_words), PAD, np.int32)
        scores = np.zeros(pictures, np.float32)
        for first in range(0, pictures, self.chunk):
            rows = slice(first, first + self.chunk)
            found = search(
                tuple(np.asarray(own[rows], np.float32) for own in each),
                np.int32(options.max_words),
                np.int32(options.min_words),
                np.float32(options.length_penalty),
                pictures=pictures,
            )
            tokens[rows], scores[rows] = found[0].numpy(), found[1].numpy()
        return tokens, scores


def _compile(members: Sequence[tuple[Decoder, keras.Model]], beam: int, block_repeats: int) -> CompileLater:
    """Compile the search with one decoder, or with several whose probabilities are averaged.

    The function maps a tuple of features float32 ``[N, *feature_shape]``, one array a decoder, ``max_words``,
    ``min_words`` and the length penalty to word ids int32 ``[N, max_words]`` and scores float32 ``[N]``.

    Args:
        members: decoders and their models, which share a vocabulary.
        beam: beam width.
        block_repeats: as in `capframe.search.SearchOptions`.
    """
    import tensorflow as tf

    signature = [
        tuple(tf.TensorSpec(model.inputs[0].shape, tf.float32) for _, model in members),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([], tf.float32),
    ]

    def search(features: Any, max_words: Any, min_words: Any, length_penalty: Any) -> Any:
        rules = Rules(beam, block_repeats, max_words, min_words, length_penalty)

        # One picture has no neighbours that would wait for it, and XLA needs sizes that do not change.
        single = features[0].shape[0] == 1

        def step(loop: Loop) -> tuple[Loop]:
            gains, states = _step(members, tf.reshape(loop.last, [-1]), loop.states)
            continued = rules.ranked(gains, loop)
            grown = rules.grown(rules.closed(loop, *continued), states, *continued)
            return (grown if single else rules.without_done(grown),)

        def unfinished(loop: Loop) -> Any:
            return (loop.t <= max_words) & ~tf.reduce_all(rules.done(loop))

        def any_batch(tensor: Any) -> Any:
            return tf.TensorShape([None, *tensor.shape[1:]] if tensor.shape.rank else [])

        both = zip(members, features, strict=True)
        states = tuple(decoder.start(model, own) for (decoder, model), own in both)
        begin = rules.begin(tf.shape(features[0])[0], states)
        shapes = None if single else tf.nest.map_structure(any_batch, (begin,))
        (end,) = tf.while_loop(unfinished, step, (begin,), shape_invariants=shapes)
        return rules.with_results(end, tf.range(tf.size(end.places)))

    return CompileLater(search, signature, xla=True)


def _step(members: Sequence[tuple[Decoder, keras.Model]], last: Any, states: Any) -> tuple[Any, Any]:
    """Go one word further: return log-probabilities ``[R, V]``, the mean of the decoders', and the states."""
    import tensorflow as tf

    stepped = [
        decoder.step(model, last, state) for (decoder, model), state in zip(members, states, strict=True)
    ]
    gains = [tf.nn.log_softmax(tf.cast(logits, tf.float32)) for logits, _ in stepped]
    states = tuple(state for _, state in stepped)
    if len(gains) == 1:
        return gains[0], states
    return tf.reduce_logsumexp(tf.stack(gains), axis=0) - np.log(len(gains)).astype(np.float32), states
