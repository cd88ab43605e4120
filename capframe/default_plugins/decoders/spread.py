"""Words of several captions or pictures, put into one array, so that all groups are computed at once."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Spread(NamedTuple):
    """Where each of W words goes in an array of ``groups`` rows of ``most`` places, read row by row."""

    places: tf.Tensor
    groups: tf.Tensor
    most: tf.Tensor

    @classmethod
    def of(cls, group: tf.Tensor, groups: tf.Tensor) -> Spread:
        """Put words into their groups, one after the other: ``group`` is int32 ``[W]``."""
        counts = tf.math.bincount(group, minlength=groups, maxlength=groups)
        order = tf.argsort(group, stable=True)
        first = tf.gather(tf.cumsum(counts, exclusive=True), tf.gather(group, order))
        within = tf.scatter_nd(order[:, None], tf.range(tf.size(group)) - first, [tf.size(group)])
        most = tf.reduce_max(counts)
        return cls(group * most + within, groups, most)

    def spread(self, words: tf.Tensor) -> tf.Tensor:
        """Map ``[W, width]`` to ``[groups, most, width]``; what is left over is 0."""
        width = words.shape[-1]
        flat = tf.scatter_nd(self.places[:, None], words, [self.groups * self.most, width])
        return tf.reshape(flat, [self.groups, self.most, width])

    def collect(self, spread: tf.Tensor) -> tf.Tensor:
        """Map ``[groups, most, width]`` back to ``[W, width]``."""
        return tf.gather_nd(tf.reshape(spread, [-1, spread.shape[-1]]), self.places[:, None])
