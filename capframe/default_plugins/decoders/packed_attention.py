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


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _recurrence(*inputs: tf.Tensor) -> Any:  # noqa: PLR0915 (the derivative needs what the pass has kept)
    gates, first_hidden, first_cell, keys, values, kernel, bias, score, own, sizes = inputs
    units, attention = kernel.shape[0], score.shape[0]
    pictures, regions = tf.shape(keys)[0], keys.shape[1]
    steps, first = tf.shape(sizes)[0], sizes[0]
    starts = tf.cumsum(sizes, exclusive=True)
    captions = Spread.of(own[:first], pictures)
    own_keys = tf.gather(keys, own[:first])
    parts = [attention, 1, 4 * units]
    unknown, states = tf.TensorShape(None), tf.TensorShape([None, units])

    def array(*shape: int) -> tf.TensorArray:
        return tf.TensorArray(tf.float32, steps, infer_shape=False, element_shape=[None, *shape])

    def running(size: Any) -> Spread:
        return captions._replace(places=captions.places[:size])

    def forward(t: Any, hidden: Any, cell: Any, *arrays: Any) -> Any:
        size, rows = sizes[t], slice(starts[t], starts[t] + sizes[t])
        query, beta, given = tf.split(tf.matmul(hidden[:size], kernel) + bias, parts, axis=1)
        compared = tf.tanh(own_keys[:size] + query[:, None])
        scores = tf.matmul(tf.reshape(compared, [-1, attention]), score)
        weights, beta = tf.nn.softmax(tf.reshape(scores, [-1, regions])), tf.sigmoid(beta)
        spread = running(size)
        mixed = spread.collect(tf.matmul(spread.spread(beta * weights), values))
        enter, forget, new, out = tf.split(gates[rows] + given + mixed, 4, axis=1)
        opened = [tf.sigmoid(enter), tf.sigmoid(forget), tf.tanh(new), tf.sigmoid(out)]
        cell = opened[1] * cell[:size] + opened[0] * opened[2]
        hidden = opened[3] * tf.tanh(cell)
        kept = (hidden, cell, tf.concat(opened, axis=1), weights, beta, compared)
        return t + 1, hidden, cell, *(into.write(t, value) for into, value in zip(arrays, kept, strict=True))

    arrays = (
        array(units),
        array(units),
        array(4 * units),
        array(regions),
        array(1),
        array(regions, attention),
    )
    _, _, _, *arrays = tf.while_loop(
        lambda t, *_: t < steps,
        forward,
        (0, first_hidden, first_cell, *arrays),
        shape_invariants=(tf.TensorShape([]), states, states, *[unknown] * 6),
    )
    hidden_states, cells, opened, weights, betas = (kept.concat() for kept in arrays[:5])

    def gradient(upstream: tf.Tensor, upstream_shares: tf.Tensor) -> Any:
        enter, forget, new, out = tf.split(opened, 4, axis=1)
        before = tf.range(first, tf.shape(cells)[0]) - tf.repeat(sizes[:-1], sizes[1:])
        cells_before = tf.concat([first_cell, tf.gather(cells, before)], axis=0)
        squashed = tf.tanh(cells)
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
        turned = tf.transpose(kernel)

        def backward(*loop: Any) -> Any:
            t, by_hidden, by_cell, by_keys, by_score, into = loop
            size, rows = sizes[t], slice(starts[t], starts[t] + sizes[t])
            ended = [[0, size - tf.shape(by_hidden)[0]], [0, 0]]
            by_hidden = upstream[rows] + tf.pad(by_hidden, ended)
            by_cell = tf.pad(by_cell, ended) + by_hidden * through[rows]
            by_gates = tf.concat([by_cell, by_cell, by_cell, by_hidden], axis=1) * slopes[rows]
            spread = running(size)
            by_shares = spread.collect(tf.matmul(spread.spread(by_gates), values, transpose_b=True))
            by_shares += upstream_shares[rows]
            share, beta, compared = weights[rows], betas[rows], arrays[5].read(t)
            weighed = share * by_shares
            total = tf.reduce_sum(weighed, axis=1, keepdims=True)
            by_scores = beta * (weighed - share * total)
            by_score += tf.matmul(
                tf.reshape(compared, [-1, attention]), tf.reshape(by_scores, [-1, 1]), transpose_a=True
            )
            by_sum = by_scores[:, :, None] * (1 - compared * compared)
            by_query = tf.reduce_sum(by_sum, axis=1) * score[:, 0]
            by_keys = tf.pad(by_keys, [*ended[:1], [0, 0], [0, 0]]) + by_sum
            by_given = tf.concat([by_query, total * beta * (1 - beta), by_gates], axis=1)
            return (
                t - 1,
                tf.matmul(by_given, turned),
                by_cell * forget[rows],
                by_keys,
                by_score,
                into.write(t, by_given),
            )

        none = tf.zeros((0, units))
        many = tf.TensorShape([None, regions, attention])
        _, by_hidden, by_cell, by_keys, by_score, by_given = tf.while_loop(
            lambda t, *_: t >= 0,
            backward,
            (
                steps - 1,
                none,
                none,
                tf.zeros((0, regions, attention)),
                tf.zeros_like(score),
                array(sum(parts)),
            ),
            shape_invariants=(tf.TensorShape([]), states, states, many, score.shape, unknown),
        )
        by_given = by_given.concat()
        by_gates = by_given[:, attention + 1 :]
        hidden_before = tf.concat([first_hidden, tf.gather(hidden_states, before)], axis=0)
        words = Spread.of(own, pictures)
        by_values = tf.matmul(words.spread(betas * weights), words.spread(by_gates), transpose_a=True)
        by_keys = tf.math.unsorted_segment_sum(by_keys, own[:first], pictures) * score[:, 0]
        by_kernel = tf.matmul(hidden_before, by_given, transpose_a=True)
        by_bias = tf.reduce_sum(by_given, axis=0)
        return by_gates, by_hidden, by_cell, by_keys, by_values, by_kernel, by_bias, by_score, None, None

    return (hidden_states, betas * weights), gradient
