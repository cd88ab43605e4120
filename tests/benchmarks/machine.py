"""What the machine can do, and what the work needs."""

from __future__ import annotations

import time


def product_rate(size: int = 2048) -> float:
    """Return how many operations a second a product of two large float32 matrices does."""
    import tensorflow as tf

    if size not in _products:
        matrix = tf.random.normal((size, size))
        _products[size] = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0])
        _products[size]().numpy()
    started = time.perf_counter()
    _products[size]().numpy()
    return 2 * size**3 / (time.perf_counter() - started)


_products: dict = {}


def add_merge_operations(
    *, words: int, captions: int, pictures: int, vocabulary: int, features: int, units: int, embedding: int
) -> int:
    """Return the additions and multiplications of one training step of ``add-merge``.

    Matrix products alone, over real words alone. Each product of the forward pass has two in the backward
    pass, of the same size: by its input and by its weights. Of the picture's projection no derivative by the
    features is due. The state before the first word is zero, and is multiplied by nothing.

    Args:
        words: predicted, the end of each caption counted.
        captions: in the step.
        pictures: in the step; each is projected once.
        vocabulary: words known.
        features: of a picture.
        units: of the LSTM, the projection and the hidden layer.
        embedding: width of the word embedding.
    """
    products = 3 * words * (4 * units * embedding + units * units + units * vocabulary)
    products += 3 * (words - captions) * 4 * units * units
    products += 2 * pictures * features * units
    return 2 * products
