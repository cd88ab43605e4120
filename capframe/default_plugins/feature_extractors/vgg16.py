"""VGG16 (Simonyan and Zisserman, 2014, https://arxiv.org/abs/1409.1556), cut at its last hidden layer.

The usual extractor of captioning papers: the 4096 numbers of ``fc2``, after its ReLU.
"""

from __future__ import annotations

import hashlib
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from capframe.compile_later import CompileLater
from capframe.errors import CapframeError, OptionError

IMAGENET = "imagenet"
MEAN_BLUE_GREEN_RED = (103.939, 116.779, 123.68)


class VGG16:
    """Features of a picture from layer ``fc2`` of VGG16.

    Attributes:
        image_size: ``(224, 224)`` pixels.
        feature_shape: ``(4096,)``.
        fingerprint: start of the SHA-256 of the weights up to ``fc2``.

    Args:
        weights: ``imagenet`` (528 MB, which Keras downloads once and keeps), or a ``.weights.h5`` or
            ``.h5`` file that Keras wrote of its whole VGG16, with 1000 classes.

    Raises:
        OptionError: there is no such file, or it does not hold the weights of VGG16.
        CapframeError: the ImageNet weights are not here yet and cannot be downloaded.
    """

    def __init__(self, weights: str = IMAGENET) -> None:
        self.image_size = (224, 224)
        self.feature_shape: tuple[int, ...] = (4096,)
        network = _network(weights)
        self._network = keras.Model(network.input, network.get_layer("fc2").output)
        digest = hashlib.sha256()
        for weight in self._network.weights:
            digest.update(np.ascontiguousarray(weight.numpy()).data)
        self.fingerprint = digest.hexdigest()[:16]
        signature = [tf.TensorSpec((None, *self.image_size, 3), tf.uint8)]
        self._compute = CompileLater(self._features, signature)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map RGB ``images`` uint8 ``[N, 224, 224, 3]`` to features float32 ``[N, 4096]``."""
        features: NDArray[np.float32] = self._compute(images, pictures=len(images)).numpy()
        return features

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        # The weights were trained with Caffe: blue first, the mean taken off, nothing scaled.
        pixels = tf.cast(tf.reverse(images, axis=[-1]), tf.float32) - tf.constant(MEAN_BLUE_GREEN_RED)
        return self._network(pixels, training=False)


def _network(weights: str) -> Any:
    if weights != IMAGENET and not Path(weights).is_file():
        raise OptionError(
            f"There is no weights file '{weights}': the option 'weights' of the feature extractor 'vgg16' is "
            f"'{IMAGENET}' or the path of a Keras weights file."
        )
    try:
        # Keras draws the progress of a download on the standard output, where captions may be going.
        with redirect_stdout(sys.stderr):
            return keras.applications.VGG16(weights=weights)
    # Keras raises a bare Exception when a download fails, and nearly anything on a strange file.
    except Exception as error:
        if weights == IMAGENET:
            raise CapframeError(
                f"The ImageNet weights of VGG16 cannot be downloaded ({error}). Give a local file with "
                "'--set feature_extractor.weights=FILE', or choose the feature extractor "
                "'efficientnet-lite0', which needs no download."
            ) from error
        raise OptionError(
            f"'{weights}' does not hold the weights of VGG16 with 1000 classes ({error}): write such a file "
            "with keras.applications.VGG16().save_weights('vgg16.weights.h5')."
        ) from error
