"""The definition of greedy and beam search, as operations of a graph; `capframe.search` compiles it.

Pictures that are done leave the loop, so that a few long captions do not keep the others waiting.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .vocabulary import END, PAD, START, UNK

SPECIAL = 4
"""Words that may be barred at any step: of so many more than asked for, enough are left."""


class Loop(NamedTuple):
    """What goes from step to step: P pictures that are searched, of N, with ``beam`` live captions each."""

    t: Any
    """Words of each live caption, int32 scalar."""
    last: Any
    """Their last words, int32 ``[P, beam]``."""
    states: Any
    """A state of each decoder, of ``P * beam`` rows."""
    live: Any
    """Log-probabilities, float32 ``[P, beam]``, falling."""
    words: Any
    """int32 ``[P, beam, max_words]``."""
    best: Any
    """Score of the best finished caption, float32 ``[P]``."""
    found: Any
    """That caption, int32 ``[P, max_words]``."""
    ended: Any
    """How many captions have finished, int32 ``[P]``."""
    places: Any
    """Which of the N pictures each one is, int32 ``[P]``."""
    tokens: Any
    """Captions of the pictures that have left, int32 ``[N, max_words]``."""
    scores: Any
    """Their scores, float32 ``[N]``."""


class Rules(NamedTuple):
    """The definition of the search, a part a method; the last three are scalar tensors."""

    beam: int
    block_repeats: int
    max_words: Any
    min_words: Any
    length_penalty: Any

    def begin(self, pictures: Any, states: Any) -> Loop:
        """Return what stands before the first word of so many pictures, from the states of the decoders."""
        import tensorflow as tf

        return Loop(
            t=tf.constant(0),
            last=tf.fill([pictures, self.beam], START),
            states=tf.nest.map_structure(lambda tensor: tf.repeat(tensor, self.beam, axis=0), states),
            live=tf.tile(tf.constant([[0.0] + [-np.inf] * (self.beam - 1)]), [pictures, 1]),
            words=tf.zeros([pictures, self.beam, self.max_words], tf.int32),
            best=tf.fill([pictures], -np.inf),
            found=tf.zeros([pictures, self.max_words], tf.int32),
            ended=tf.zeros([pictures], tf.int32),
            places=tf.range(pictures),
            tokens=tf.zeros([pictures, self.max_words], tf.int32),
            scores=tf.zeros([pictures]),
        )

    def ranked(self, gains: Any, loop: Loop) -> tuple[Any, Any, Any]:
        """Return log-probability, word and parent of the best continuations, ``[P, 2 * beam]``, falling."""
        import tensorflow as tf

        if self.block_repeats:
            words = tf.reshape(loop.words, [-1, self.max_words])
            gains = _without_repeats(gains, words, loop.t, self.block_repeats)
        shown = tf.minimum(2 * self.beam + SPECIAL, tf.shape(gains)[-1])
        gains, word = tf.math.top_k(gains, k=shown)
        early = tf.equal(word, END) & (loop.t < self.min_words)
        barred = tf.equal(word, PAD) | tf.equal(word, UNK) | tf.equal(word, START) | early
        gains = tf.reshape(tf.where(barred, -np.inf, gains), [-1, self.beam, shown])
        totals = tf.reshape(gains + loop.live[:, :, None], [-1, self.beam * shown])
        totals, index = tf.math.top_k(totals, k=2 * self.beam)
        word = tf.gather(tf.reshape(word, [-1, self.beam * shown]), index, batch_dims=1)
        return totals, word, index // shown

    def closed(self, loop: Loop, totals: Any, word: Any, parent: Any) -> Loop:
        """Finish the captions that end among the first ``beam`` continuations."""
        import tensorflow as tf

        among = (tf.range(2 * self.beam) < self.beam) & ~self.done(loop)[:, None]
        closing = tf.equal(word, END) & among & tf.math.is_finite(totals)
        scores = tf.where(closing, totals / self._length(loop.t + 1), -np.inf)
        winner = tf.argmax(scores, axis=1, output_type=tf.int32)
        score = tf.gather(scores, winner, batch_dims=1)
        caption = tf.gather(loop.words, tf.gather(parent, winner, batch_dims=1), batch_dims=1)
        better = score > loop.best
        return loop._replace(
            best=tf.where(better, score, loop.best),
            found=tf.where(better[:, None], caption, loop.found),
            ended=loop.ended + tf.reduce_sum(tf.cast(closing, tf.int32), axis=1),
        )

    def grown(self, loop: Loop, states: Any, totals: Any, word: Any, parent: Any) -> Loop:
        """Let the best ``beam`` continuations that do not end live on."""
        import tensorflow as tf

        live, chosen = tf.math.top_k(tf.where(tf.equal(word, END), -np.inf, totals), k=self.beam)
        # Where every word is barred nothing may follow, and what top_k then gives is no word.
        last = tf.where(tf.math.is_finite(live), tf.gather(word, chosen, batch_dims=1), PAD)
        parent = tf.gather(parent, chosen, batch_dims=1)
        words = tf.gather(loop.words, parent, batch_dims=1)
        words = tf.where(tf.range(self.max_words) == loop.t, last[:, :, None], words)
        # A caption of max_words words may still end, but it cannot grow.
        grows = loop.t < self.max_words
        return loop._replace(
            t=loop.t + 1,
            last=last,
            states=states if self.beam == 1 else _of_parents(states, loop.states, parent),
            live=tf.where(grows, live, loop.live),
            words=tf.where(grows, words, loop.words),
        )

    def done(self, loop: Loop) -> Any:
        """Return which pictures need no further step, bool ``[P]``."""
        import tensorflow as tf

        # The log-probability of a live caption only falls; at full length it is divided by the most.
        reachable = tf.reduce_max(loop.live, axis=1) / self._length(self.max_words + 1)
        return (loop.ended >= self.beam) | (loop.best >= reachable)

    def without_done(self, loop: Loop) -> Loop:
        """Let the pictures that are done leave, once they are many: those that stay are copied."""
        import tensorflow as tf

        done = self.done(loop)
        leaving, pictures = tf.math.count_nonzero(done, dtype=tf.int32), tf.size(done)

        def leave() -> Loop:
            stay = tf.cast(tf.where(~done)[:, 0], tf.int32)
            rows = tf.reshape(stay[:, None] * self.beam + tf.range(self.beam), [-1])
            tokens, scores = self.with_results(loop, tf.cast(tf.where(done)[:, 0], tf.int32))
            of_pictures = ("last", "live", "words", "best", "found", "ended", "places")
            return loop._replace(
                states=tf.nest.map_structure(lambda tensor: tf.gather(tensor, rows), loop.states),
                tokens=tokens,
                scores=scores,
                **{name: tf.gather(getattr(loop, name), stay) for name in of_pictures},
            )

        remaining: Loop = tf.cond((4 * leaving >= pictures) & (leaving < pictures), leave, lambda: loop)
        return remaining

    def with_results(self, loop: Loop, rows: Any) -> tuple[Any, Any]:
        """Return all tokens and scores, with those of the pictures in ``rows`` put into their places."""
        import tensorflow as tf

        # Where nothing ended within max_words, the best prefix stands in.
        none = tf.math.is_inf(loop.best)
        tokens = tf.where(none[:, None], loop.words[:, 0], loop.found)
        scores = tf.where(none, loop.live[:, 0] / self._length(self.max_words), loop.best)
        places = tf.gather(loop.places, rows)[:, None]
        return (
            tf.tensor_scatter_nd_update(loop.tokens, places, tf.gather(tokens, rows)),
            tf.tensor_scatter_nd_update(loop.scores, places, tf.gather(scores, rows)),
        )

    def _length(self, words: Any) -> Any:
        import tensorflow as tf

        return tf.cast(words, tf.float32) ** self.length_penalty


def _of_parents(states: Any, before: Any, parent: Any) -> Any:
    """Give each live caption the state of its parent, int32 ``[P, beam]``.

    What a step has handed on untouched is the same for all live captions of a picture.
    """
    import tensorflow as tf

    pictures, beam = tf.shape(parent)[0], parent.shape[1]
    rows = tf.reshape(tf.range(pictures)[:, None] * beam + parent, [-1])
    return tf.nest.map_structure(lambda new, old: new if new is old else tf.gather(new, rows), states, before)


def _without_repeats(gains: Any, words: Any, t: Any, size: int) -> Any:
    """Bar each word that would end a run of ``size`` words that the caption holds already.

    Args:
        gains: log-probabilities ``[R, V]``.
        words: captions int32 ``[R, max_words]``, of which the first ``t`` words are written.
        t: int32 scalar.
        size: words in a run.
    """
    import tensorflow as tf

    rows, most = tf.shape(words)[0], tf.shape(words)[1]
    runs = tf.maximum(most - size + 1, 0)
    same = tf.broadcast_to(tf.range(runs) < t - size + 1, [rows, runs])
    for offset in range(size - 1):
        recent = tf.gather(words, tf.maximum(t - size + 1 + offset, 0), axis=1)
        same &= words[:, offset : offset + runs] == recent[:, None]
    # Padding is barred anyway, so it may stand for: nothing to bar.
    barred = tf.where(same, words[:, most - runs :], PAD)
    cells = tf.stack([tf.broadcast_to(tf.range(rows)[:, None], [rows, runs]), barred], axis=-1)
    return tf.tensor_scatter_nd_update(gains, cells, tf.fill([rows, runs], -np.inf))
