"""The masked loss: of logits as any decoder gives them, and of hidden words without their logits."""

from __future__ import annotations

from typing import Any

from .vocabulary import PAD

_TINY = 1e-30


def caption_losses(targets: Any, logits: Any, smoothing: float = 0.0) -> tuple[Any, Any]:
    """Return the summed cross-entropy over the words of a batch, in nats, and the number of words.

    Args:
        targets: int32 ``[C, T]``; padding (id 0) counts for nothing.
        logits: float32 ``[C, T, V]``.
        smoothing: this share of each target is spread evenly over the vocabulary.
    """
    import tensorflow as tf

    words = tf.cast(tf.not_equal(targets, PAD), tf.float32)
    logits = tf.cast(logits, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    if smoothing:
        even = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
        losses = (1 - smoothing) * losses + smoothing * even
    return tf.reduce_sum(losses * words), tf.reduce_sum(words)


def word_losses(targets: Any, hidden: Any, kernel: Any, bias: Any, smoothing: float = 0.0) -> Any:
    """Return the cross-entropy of each word in nats, float32 ``[W]``.

    The same numbers as of the logits ``hidden @ kernel + bias``, but what is as large as the logits is
    written three times and not a dozen: the derivative is taken from the softmax, and the one-hot targets
    are never made.

    Args:
        targets: int32 ``[W]``.
        hidden: float32 ``[W, U]``.
        kernel: float32 ``[U, V]``.
        bias: float32 ``[V]``.
        smoothing: this share of each target is spread evenly over the vocabulary.
    """
    import tensorflow as tf

    kernel, bias = tf.convert_to_tensor(kernel), tf.convert_to_tensor(bias)
    losses = _cross_entropy(targets, hidden, kernel, bias)
    if smoothing:
        # The mean loss over the vocabulary is that of the target + its logit - the mean logit.
        own = tf.reduce_sum(hidden * tf.gather(tf.transpose(kernel), targets), axis=1) + tf.gather(
            bias, targets
        )
        mean = tf.linalg.matvec(hidden, tf.reduce_mean(kernel, axis=1)) + tf.reduce_mean(bias)
        losses += smoothing * (own - mean)
    return losses


def _cross_entropy(targets: Any, hidden: Any, kernel: Any, bias: Any) -> Any:
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def cross_entropy(hidden: Any, kernel: Any, bias: Any) -> Any:
        logits = tf.matmul(hidden, kernel) + bias
        probabilities = tf.nn.softmax(logits)
        own = tf.gather(probabilities, targets, batch_dims=1)
        losses = tf.cond(
            tf.reduce_all(own > _TINY),
            lambda: -tf.math.log(own),
            lambda: tf.reduce_logsumexp(logits, axis=1) - tf.gather(logits, targets, batch_dims=1),
        )

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            # By the logits it is upstream * (probabilities - one-hot targets).
            size = tf.shape(bias)[0]
            # Turned before the product, which is then faster: but for `ensure_shape`, TensorFlow would join
            # the two.
            rows = tf.ensure_shape(tf.transpose(kernel), [None, None])
            weighted = upstream[:, None] * hidden
            by_hidden = tf.matmul(probabilities, rows) - tf.gather(rows, targets)
            by_kernel = tf.matmul(weighted, probabilities, transpose_a=True)
            by_kernel -= tf.transpose(tf.math.unsorted_segment_sum(weighted, targets, size))
            by_bias = tf.linalg.matvec(probabilities, upstream, transpose_a=True)
            by_bias -= tf.math.unsorted_segment_sum(upstream, targets, size)
            return upstream[:, None] * by_hidden, by_kernel, by_bias

        return losses, gradient

    return cross_entropy(hidden, kernel, bias)
