"""An LSTM over captions of unlike length that computes nothing for padding.

All first words come first, then all second words, ...; so each step is over the captions that go on, one
slice of the whole. The weights are those of a Keras LSTM, and the numbers are its.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def pack(tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Put the words of captions in the order in which `packed_lstm` takes them.

    Args:
        tokens: int32 ``[C, T]``; 0 is padding, at the end only.

    Returns:
        Places int32 ``[W]``: where each word stands in ``tokens``, read row by row; and sizes int32
        ``[T]``: how many captions have a word at each position.
    """
    lengths = tf.math.count_nonzero(tokens, axis=1, dtype=tf.int32)
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    positions = tf.range(tf.shape(tokens)[1])
    real = positions[:, None] < tf.gather(lengths, order)[None, :]
    places = positions[:, None] + order[None, :] * tf.shape(tokens)[1]
    return tf.boolean_mask(places, real), tf.math.count_nonzero(real, axis=1, dtype=tf.int32)


def packed_lstm(words: tf.Tensor, sizes: tf.Tensor, cell: Any) -> tf.Tensor:
    """Return the hidden states after each word, float32 ``[W, units]``.

    Args:
        words: embedded, float32 ``[W, E]``, in the order of `pack`.
        sizes: as `pack` gives them; those at the end may be 0.
        cell: of a Keras LSTM with its usual activations.
    """
    # tanh x = 2 sigmoid 2x - 1, so that all four gates can go through one sigmoid.
    double = tf.repeat([1.0, 1.0, 2.0, 1.0], cell.units)
    gates = tf.matmul(words, cell.kernel * double) + cell.bias * double
    return _recurrence(gates, cell.recurrent_kernel * double, tf.boolean_mask(sizes, sizes > 0))


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _recurrence(gates: tf.Tensor, kernel: tf.Tensor, sizes: tf.Tensor) -> Any:
    """Run the recurrence: ``gates`` ``[W, 4 units]`` of the words alone -> hidden states ``[W, units]``.

    The third gate, and its part of the kernel, are doubled.
    """
    units, steps, first = kernel.shape[0], tf.shape(sizes)[0], sizes[0]
    starts = tf.cumsum(sizes, exclusive=True)
    unknown, states = tf.TensorShape(None), tf.TensorShape([None, units])

    def array(width: int) -> tf.TensorArray:
        return tf.TensorArray(tf.float32, steps, infer_shape=False, element_shape=[None, width])

    def forward(t: Any, hidden: Any, cell: Any, *arrays: Any) -> Any:
        size, rows = sizes[t], slice(starts[t], starts[t] + sizes[t])
        opened = tf.sigmoid(gates[rows] + tf.matmul(hidden[:size], kernel))
        enter, forget, new, out = tf.split(opened, 4, axis=1)
        cell = forget * cell[:size] + enter * (2 * new - 1)
        hidden = out * tf.tanh(cell)
        values = (hidden, cell, opened)
        return (
            t + 1,
            hidden,
            cell,
            *(into.write(t, value) for into, value in zip(arrays, values, strict=True)),
        )

    zeros = tf.zeros((first, units))
    _, _, _, *arrays = tf.while_loop(
        lambda t, *_: t < steps,
        forward,
        (0, zeros, zeros, array(units), array(units), array(4 * units)),
        shape_invariants=(tf.TensorShape([]), states, states, *[unknown] * 3),
    )
    hidden_states = arrays[0].concat()

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, None]:
        cells, opened = arrays[1].concat(), arrays[2].concat()
        enter, forget, new, out = tf.split(opened, 4, axis=1)
        new = 2 * new - 1
        before = tf.range(first, tf.shape(cells)[0]) - tf.repeat(sizes[:-1], sizes[1:])
        cells_before = tf.pad(tf.gather(cells, before), [[first, 0], [0, 0]])
        squashed = tf.tanh(cells)
        # All that does not wait for the later words is computed at once.
        slopes = tf.concat(
            [
                new * enter * (1 - enter),
                cells_before * forget * (1 - forget),
                enter * (1 - new * new) / 2,
                squashed * out * (1 - out),
            ],
            axis=1,
        )
        through = out * (1 - squashed * squashed)
        turned = tf.transpose(kernel)

        def backward(t: Any, by_hidden: Any, by_cell: Any, into: Any) -> Any:
            size, rows = sizes[t], slice(starts[t], starts[t] + sizes[t])
            ended = [[0, size - tf.shape(by_hidden)[0]], [0, 0]]
            by_hidden = upstream[rows] + tf.pad(by_hidden, ended)
            by_cell = tf.pad(by_cell, ended) + by_hidden * through[rows]
            by_gates = tf.concat([by_cell, by_cell, by_cell, by_hidden], axis=1) * slopes[rows]
            return t - 1, tf.matmul(by_gates, turned), by_cell * forget[rows], into.write(t, by_gates)

        none = tf.zeros((0, units))
        *_, by_gates = tf.while_loop(
            lambda t, *_: t >= 0,
            backward,
            (steps - 1, none, none, array(4 * units)),
            shape_invariants=(tf.TensorShape([]), states, states, unknown),
        )
        by_gates = by_gates.concat()
        return by_gates, tf.matmul(tf.gather(hidden_states, before), by_gates[first:], transpose_a=True), None

    return hidden_states, gradient
