"""Captions sampled from a decoder, word by word, in one compiled graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .vocabulary import END, PAD, START, UNK

if TYPE_CHECKING:
    import keras

    from .interfaces import Decoder

NEVER = (PAD, UNK, START)
"""What search never writes, and sampling neither."""


def barred(size: Any) -> Any:
    """Return float32 ``[V]`` to add to logits over ``size`` words, so that `NEVER` has no probability."""
    import tensorflow as tf

    return tf.reduce_sum(tf.one_hot(NEVER, size, on_value=-1e9, off_value=0.0), axis=0)


def compile_sampler(decoder: Decoder, model: keras.Model, samples: int, max_words: int) -> Callable[..., Any]:
    """Compile a function that draws ``samples`` captions of each picture.

    It maps features float32 ``[P, *feature_shape]`` and a seed, int64 ``[2]``, to words and ``<end>``, then
    padding, int32 ``[P * samples, T]``: those of one picture follow each other. A caption that has not ended
    after ``max_words`` words is cut after one more, and has no ``<end>``. One seed draws the same captions.

    Args:
        decoder: offers ``start`` and ``step``.
        model: what ``decoder.build`` returned.
        samples: captions of each picture.
        max_words: words of a caption, at the most.
    """
    import tensorflow as tf

    longest = min(max_words, getattr(decoder, "max_words", max_words)) + 1

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec(model.inputs[0].shape, tf.float32),
            tf.TensorSpec([2], tf.int64),
        ]
    )
    def sample(features: Any, seed: Any) -> Any:
        rows = tf.shape(features)[0] * samples
        state = decoder.start(model, features)
        state = tf.nest.map_structure(lambda tensor: tf.repeat(tensor, samples, axis=0), state)
        seeds = tf.random.stateless_uniform([longest, 2], seed, None, None, tf.int64)

        def step(*loop: Any) -> Any:
            t, places, last, state, words = loop
            logits, state = decoder.step(model, last, state)
            logits = tf.cast(logits, tf.float32) + barred(tf.shape(logits)[-1])
            drawn = tf.random.stateless_categorical(logits, 1, seeds[t], tf.int32)[:, 0]
            drawn = tf.where(ended(last), PAD, drawn)
            words = words.write(t, tf.scatter_nd(places[:, None], drawn, [rows]))
            loop = places, drawn, state
            going = tf.where(~ended(drawn))[:, 0]
            loop = tf.cond(4 * tf.size(going) <= 3 * tf.size(drawn), lambda: of(going, loop), lambda: loop)
            return (t + 1, *loop, words)

        def ended(last: Any) -> Any:
            return tf.equal(last, END) | tf.equal(last, PAD)

        def of(going: Any, loop: Any) -> Any:
            """Let the captions that have ended leave the loop; those that stay are copied."""
            return tf.nest.map_structure(lambda tensor: tf.gather(tensor, going), loop)

        def any_batch(tensor: Any) -> Any:
            return tf.TensorShape([None, *tensor.shape[1:]])

        words = tf.TensorArray(tf.int32, longest, element_shape=[None])
        shapes = tf.nest.map_structure(any_batch, state)
        some = tf.TensorShape([None])
        steps, *_, words = tf.while_loop(
            lambda t, places, last, state, words: (t < longest) & ~tf.reduce_all(ended(last)),
            step,
            (tf.constant(0), tf.range(rows), tf.fill([rows], START), state, words),
            shape_invariants=(tf.TensorShape([]), some, some, shapes, tf.TensorShape(None)),
        )
        return tf.transpose(words.gather(tf.range(steps)))

    compiled: Callable[..., Any] = sample
    return compiled
