"""Word dropout: words that the decoder reads are hidden from it while it is trained."""

from __future__ import annotations

from typing import Any

from .vocabulary import PAD, START, UNK


def drop_words(inputs: Any, rate: float, seed: Any) -> Any:
    """Replace each word by ``<unk>`` with probability ``rate``; ``<start>`` and padding stay.

    What comes next must then be told from the picture, not from the word before (Bowman et al., 2016,
    "Generating sentences from a continuous space", section 3.1).

    Args:
        inputs: int32 ``[C, T]``.
        rate: from 0 to 1.
        seed: integer ``[2]``; the same seed drops the same words.

    Returns:
        int32 ``[C, T]``.
    """
    import tensorflow as tf

    dropped = tf.random.stateless_uniform(tf.shape(inputs), seed) < rate
    return tf.where(dropped & (inputs != PAD) & (inputs != START), UNK, inputs)
