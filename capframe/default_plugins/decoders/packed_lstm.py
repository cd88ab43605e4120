"""An LSTM over captions of unlike length that computes nothing for padding.

All first words come first, then all second words, ...; so each step is over the captions that go on, one
slice of the whole. The weights are those of a Keras LSTM, and the numbers are its.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_OPENS = (tf.sigmoid, tf.sigmoid, tf.tanh, tf.sigmoid)


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
    # Each gate on its own: four small products at once are done sooner than one that waits for all its parts.
    kernels = tf.split(cell.kernel.value, 4, axis=1)
    gates = [
        tf.matmul(words, kernel) + bias
        for kernel, bias in zip(kernels, tf.split(cell.bias.value, 4), strict=True)
    ]
    recurrent_kernels = tf.split(cell.recurrent_kernel.value, 4, axis=1)
    return _recurrence(*gates, *recurrent_kernels, tf.boolean_mask(sizes, sizes > 0))


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _recurrence(*arrays: tf.Tensor) -> Any:
    """Run the recurrence over the gates of the words alone -> hidden states ``[W, units]``.

    Args:
        arrays: four gates ``[W, units]`` (enter, forget, new, out), four kernels ``[units, units]``, and the
            sizes, int32 ``[T]``.
    """
    gates, kernels, sizes = arrays[:4], arrays[4:8], arrays[8]
    units, steps, first = kernels[0].shape[0], tf.shape(sizes)[0], sizes[0]
    starts = tf.cumsum(sizes, exclusive=True)
    unknown, states = tf.TensorShape(None), tf.TensorShape([None, units])

    def written(count: int) -> list[tf.TensorArray]:
        return [
            tf.TensorArray(tf.float32, steps, infer_shape=False, element_shape=[None, units])
            for _ in range(count)
        ]

    def write(t: Any, into: Any, values: Any) -> list[tf.TensorArray]:
        return [array.write(t, value) for array, value in zip(into, values, strict=True)]

    def forward(t: Any, hidden: Any, cell: Any, *into: Any) -> Any:
        size, rows = sizes[t], slice(starts[t], starts[t] + sizes[t])
        hidden = hidden[:size]
        enter, forget, new, out = opened = [
            opens(gate[rows] + tf.matmul(hidden, kernel))
            for opens, gate, kernel in zip(_OPENS, gates, kernels, strict=True)
        ]
        cell = forget * cell[:size] + enter * new
        hidden = out * tf.tanh(cell)
        return t + 1, hidden, cell, *write(t, into, (hidden, cell, *opened))

    zeros = tf.zeros((first, units))
    _, _, _, *filled = tf.while_loop(
        lambda t, *_: t < steps,
        forward,
        (0, zeros, zeros, *written(6)),
        shape_invariants=(tf.TensorShape([]), states, states, *[unknown] * 6),
    )
    hidden_states = filled[0].concat()

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        cells, enter, forget, new, out = (array.concat() for array in filled[1:])
        before = tf.range(first, tf.shape(cells)[0]) - tf.repeat(sizes[:-1], sizes[1:])
        cells_before = tf.pad(tf.gather(cells, before), [[first, 0], [0, 0]])
        squashed = tf.tanh(cells)
        # All that does not wait for the later words is computed at once.
        slopes = (
            new * enter * (1 - enter),
            cells_before * forget * (1 - forget),
            enter * (1 - new * new),
            squashed * out * (1 - out),
        )
        through = out * (1 - squashed * squashed)

        def backward(t: Any, by_hidden: Any, by_cell: Any, *into: Any) -> Any:
            size, rows = sizes[t], slice(starts[t], starts[t] + sizes[t])
            ended = [[0, size - tf.shape(by_hidden)[0]], [0, 0]]
            by_hidden = upstream[rows] + tf.pad(by_hidden, ended)
            by_cell = tf.pad(by_cell, ended) + by_hidden * through[rows]
            by_gates = [
                by_state * slope[rows]
                for by_state, slope in zip((by_cell, by_cell, by_cell, by_hidden), slopes, strict=True)
            ]
            by_hidden = tf.add_n(
                [
                    tf.matmul(by_gate, kernel, transpose_b=True)
                    for by_gate, kernel in zip(by_gates, kernels, strict=True)
                ]
            )
            return t - 1, by_hidden, by_cell * forget[rows], *write(t, into, by_gates)

        none = tf.zeros((0, units))
        _, _, _, *filled_back = tf.while_loop(
            lambda t, *_: t >= 0,
            backward,
            (steps - 1, none, none, *written(4)),
            shape_invariants=(tf.TensorShape([]), states, states, *[unknown] * 4),
        )
        by_gates = [array.concat() for array in filled_back]
        hidden_before = tf.gather(hidden_states, before)
        by_kernels = [tf.matmul(hidden_before, by_gate[first:], transpose_a=True) for by_gate in by_gates]
        return *by_gates, *by_kernels, None

    return hidden_states, gradient
