"""An LSTM that attends to regions, over captions of unlike length, with each picture once and no padding.

The words are in the order of `packed_lstm.pack`. What a region gives to the gates is computed once a picture:
a mixture of regions times a matrix is the mixture of the regions times the matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from .spread import Spread


class Start(NamedTuple):
    """Hidden state and cell of each picture before the first word, ``[P, units]``."""

    hidden: tf.Tensor
    cell: tf.Tensor


class Pictures(NamedTuple):
    """What each picture gives: to the attention ``[P, R, A]``, and to the gates ``[P, R, 4 units]``."""

    keys: tf.Tensor
    values: tf.Tensor


class Weights(NamedTuple):
    """What the hidden state gives to the attention, to the scalar beta and to the gates; and to scores.

    ``kernel`` is ``[units, A + 1 + 4 units]``, ``bias`` likewise and ``score`` ``[A, 1]``.
    """

    kernel: tf.Tensor
    bias: tf.Tensor
    score: tf.Tensor


def packed_attention(
    gates: tf.Tensor, places: tuple[tf.Tensor, tf.Tensor], start: Start, seen: Pictures, weights: Weights
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return hidden states ``[W, units]``, and each word's shares of the regions, times beta, ``[W, R]``.

    Args:
        gates: what the words give to the gates, ``[W, 4 units]``, in the order of `packed_lstm.pack`.
        places: sizes as `packed_lstm.pack` gives them, those at the end may be 0; and the picture of each
            word, int32 ``[W]``.
        start: states before the first word.
        seen: what the pictures give.
        weights: of the layers that each word passes.
    """
    sizes, own = places
    first = (tf.gather(state, own[: sizes[0]]) for state in start)
    states: tuple[tf.Tensor, tf.Tensor] = _recurrence(
        gates, *first, *seen, *weights, own, tf.boolean_mask(sizes, sizes > 0)
    )
    return states


class _Inputs(NamedTuple):
    """What the recurrence is made of; the states before the first word are those of each caption."""

    gates: tf.Tensor
    hidden: tf.Tensor
    cell: tf.Tensor
    keys: tf.Tensor
    values: tf.Tensor
    kernel: tf.Tensor
    bias: tf.Tensor
    score: tf.Tensor
    own: tf.Tensor
    sizes: tf.Tensor

    @property
    def parts(self) -> list[int]:
        """Return how wide the parts are that the hidden state gives to attention, beta and gates."""
        return [self.score.shape[0], 1, self.gates.shape[1]]

    @property
    def captions(self) -> Spread:
        """Return what spreads captions over pictures."""
        return Spread.of(self.own[: self.sizes[0]], tf.shape(self.keys)[0])

    def array(self, *shape: int) -> tf.TensorArray:
        """Return an array of what is computed for the words at each position."""
        steps = tf.shape(self.sizes)[0]
        return tf.TensorArray(tf.float32, steps, infer_shape=False, element_shape=[None, *shape])


class _Kept(NamedTuple):
    """What the derivative needs of each word; ``compared`` is an array of what the regions' scores are of."""

    hidden: tf.Tensor
    cells: tf.Tensor
    opened: tf.Tensor
    weights: tf.Tensor
    betas: tf.Tensor
    compared: tf.TensorArray


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _recurrence(*tensors: tf.Tensor) -> Any:
    inputs = _Inputs(*tensors)
    kept = _forward(inputs)

    def gradient(upstream: tf.Tensor, upstream_shares: tf.Tensor) -> Any:
        return _gradient(inputs, kept, upstream, upstream_shares)

    return (kept.hidden, kept.betas * kept.weights), gradient


def _forward(inputs: _Inputs) -> _Kept:
    parts, captions, array = inputs.parts, inputs.captions, inputs.array
    attention, regions, units = parts[0], inputs.keys.shape[1], inputs.kernel.shape[0]
    sizes, starts = inputs.sizes, tf.cumsum(inputs.sizes, exclusive=True)
    keys = tf.gather(inputs.keys, inputs.own[: sizes[0]])
    unknown, states = tf.TensorShape(None), tf.TensorShape([None, units])

    def step(t: Any, hidden: Any, cell: Any, *arrays: Any) -> Any:
        size, rows = sizes[t], slice(starts[t], starts[t] + sizes[t])
        given = tf.matmul(hidden[:size], inputs.kernel) + inputs.bias
        query, beta, given = tf.split(given, parts, axis=1)
        compared = tf.tanh(keys[:size] + query[:, None])
        scores = tf.matmul(tf.reshape(compared, [-1, attention]), inputs.score)
        scores = tf.reshape(scores, [-1, regions])
        # As softmax, which warns of a single region, where the weight is rightly 1.
        weights = tf.exp(scores - tf.reduce_logsumexp(scores, axis=1, keepdims=True))
        beta, running = tf.sigmoid(beta), captions.first(size)
        mixed = running.collect(tf.matmul(running.spread(beta * weights), inputs.values))
        enter, forget, new, out = tf.split(inputs.gates[rows] + given + mixed, 4, axis=1)
        opened = [tf.sigmoid(enter), tf.sigmoid(forget), tf.tanh(new), tf.sigmoid(out)]
        cell = opened[1] * cell[:size] + opened[0] * opened[2]
        hidden = opened[3] * tf.tanh(cell)
        kept = (hidden, cell, tf.concat(opened, axis=1), weights, beta, compared)
        return t + 1, hidden, cell, *(into.write(t, value) for into, value in zip(arrays, kept, strict=True))

    widths = [(units,), (units,), (4 * units,), (regions,), (1,), (regions, attention)]
    _, _, _, *arrays, compared = tf.while_loop(
        lambda t, *_: t < tf.shape(sizes)[0],
        step,
        (0, inputs.hidden, inputs.cell, *(array(*width) for width in widths)),
        shape_invariants=(tf.TensorShape([]), states, states, *[unknown] * len(widths)),
    )
    hidden, cells, opened, weights, betas = (kept.concat() for kept in arrays)
    return _Kept(hidden, cells, opened, weights, betas, compared)


def _gradient(
    inputs: _Inputs, kept: _Kept, upstream: tf.Tensor, upstream_shares: tf.Tensor
) -> tuple[Any, ...]:
    sizes, own, pictures = inputs.sizes, inputs.own, tf.shape(inputs.keys)[0]
    before = tf.range(sizes[0], tf.shape(own)[0]) - tf.repeat(sizes[:-1], sizes[1:])
    cells_before = tf.concat([inputs.cell, tf.gather(kept.cells, before)], axis=0)
    by_hidden, by_cell, by_keys, by_score, by_given = _backward(
        inputs, kept, cells_before, (upstream, upstream_shares)
    )
    by_gates = by_given[:, inputs.score.shape[0] + 1 :]
    hidden_before = tf.concat([inputs.hidden, tf.gather(kept.hidden, before)], axis=0)
    words = Spread.of(own, pictures)
    shares = kept.betas * kept.weights
    return (
        by_gates,
        by_hidden,
        by_cell,
        tf.math.unsorted_segment_sum(by_keys, own[: sizes[0]], pictures) * inputs.score[:, 0],
        tf.matmul(words.spread(shares), words.spread(by_gates), transpose_a=True),
        tf.matmul(hidden_before, by_given, transpose_a=True),
        tf.reduce_sum(by_given, axis=0),
        by_score,
        None,
        None,
    )


def _backward(
    inputs: _Inputs, kept: _Kept, cells_before: tf.Tensor, upstream: tuple[tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, ...]:
    """Go back from the last words: what the loss changes by, for each part, and for what each word was given.

    That of keys is for each caption, and still without the weights of the scores.
    """
    sizes, starts, parts = inputs.sizes, tf.cumsum(inputs.sizes, exclusive=True), inputs.parts
    attention, regions, units = parts[0], inputs.keys.shape[1], inputs.kernel.shape[0]
    captions, turned = inputs.captions, tf.transpose(inputs.kernel)
    enter, forget, new, out = tf.split(kept.opened, 4, axis=1)
    squashed = tf.tanh(kept.cells)
    # All that does not wait for the later words is computed at once.
    slopes = tf.concat(
        [
            new * enter * (1 - enter),
            cells_before * forget * (1 - forget),
            enter * (1 - new * new),
            squashed * out * (1 - out),
        ],
        axis=1,
    )
    through = out * (1 - squashed * squashed)

    def step(t: Any, by_hidden: Any, by_cell: Any, *sums: Any) -> Any:
        by_keys, by_score, into = sums
        size, rows = sizes[t], slice(starts[t], starts[t] + sizes[t])
        ended = [[0, size - tf.shape(by_hidden)[0]], [0, 0]]
        by_hidden = upstream[0][rows] + tf.pad(by_hidden, ended)
        by_cell = tf.pad(by_cell, ended) + by_hidden * through[rows]
        by_gates = tf.concat([by_cell, by_cell, by_cell, by_hidden], axis=1) * slopes[rows]
        running = captions.first(size)
        by_shares = running.collect(tf.matmul(running.spread(by_gates), inputs.values, transpose_b=True))
        weights, beta, compared = kept.weights[rows], kept.betas[rows], kept.compared.read(t)
        weighed = weights * (by_shares + upstream[1][rows])
        total = tf.reduce_sum(weighed, axis=1, keepdims=True)
        by_scores = beta * (weighed - weights * total)
        flat = tf.reshape(compared, [-1, attention])
        by_score += tf.matmul(flat, tf.reshape(by_scores, [-1, 1]), transpose_a=True)
        by_sum = by_scores[:, :, None] * (1 - compared * compared)
        by_query = tf.reduce_sum(by_sum, axis=1) * inputs.score[:, 0]
        by_given = tf.concat([by_query, total * beta * (1 - beta), by_gates], axis=1)
        return (
            t - 1,
            tf.matmul(by_given, turned),
            by_cell * forget[rows],
            tf.pad(by_keys, [*ended, [0, 0]]) + by_sum,
            by_score,
            into.write(t, by_given),
        )

    none, no_keys = tf.zeros((0, units)), tf.zeros((0, regions, attention))
    states, many = tf.TensorShape([None, units]), tf.TensorShape([None, regions, attention])
    _, *changes, by_given = tf.while_loop(
        lambda t, *_: t >= 0,
        step,
        (tf.shape(sizes)[0] - 1, none, none, no_keys, tf.zeros_like(inputs.score), inputs.array(sum(parts))),
        shape_invariants=(tf.TensorShape([]), states, states, many, inputs.score.shape, tf.TensorShape(None)),
    )
    return (*changes, by_given.concat())
