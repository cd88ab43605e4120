"""The feature extractors: a class for each network, made when it is asked for."""

from __future__ import annotations

import hashlib
import sys
import warnings
from contextlib import redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from capframe.errors import CapframeError, OptionError

from .networks import NETWORKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGENET = "imagenet"
_DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue, from 0 to 1."""

_DOC = """Features of a picture from the last layer of {name} before its classifier ({source}).

Args:
    weights: ``imagenet``, which Keras downloads once and keeps; or a ``.weights.h5`` or ``.h5`` file that
        Keras wrote of the network with ImageNet weights, without its classifier (``include_top=False``).
    regions: give a grid of regions ``(R, C)``; without, their mean: a vector ``(C,)``.
    side: pictures are resized to so many pixels on each side; 0 is what the network was trained on, {side}.

Raises:
    OptionError: there is no such file, it does not hold the weights of the network, or the side is too small.
    CapframeError: the ImageNet weights are not here yet and cannot be downloaded.
"""


class KerasNetwork:
    """A network of keras.applications. `__getattr__` makes a class of it for each network."""

    name: ClassVar[str]

    def __init__(self, weights: str = IMAGENET, regions: bool = False, side: int = 0) -> None:
        side = side or NETWORKS[self.name].side
        self.image_size = (side, side)
        network = self._network(weights)
        digest = hashlib.sha256()
        for weight in network.weights:
            digest.update(np.ascontiguousarray(weight.numpy()).data)
        self.fingerprint = digest.hexdigest()[:16]
        if weights != IMAGENET and NETWORKS[self.name].module == "efficientnet":
            _rescale(network)
        if not regions:
            pooled = keras.layers.GlobalAveragePooling2D()(network.output)
            network = keras.Model(network.input, pooled)
        shape = tuple(network.output_shape[1:])
        self.feature_shape: tuple[int, ...] = (shape[0] * shape[1], shape[2]) if regions else shape
        self._model = network
        self._prepare = getattr(keras.applications, NETWORKS[self.name].module).preprocess_input
        signature = [tf.TensorSpec((None, *self.image_size, 3), tf.uint8)]
        self._compute = tf.function(self._features, input_signature=signature)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map RGB uint8 ``[N, side, side, 3]`` to features float32 ``[N, *feature_shape]``."""
        features: NDArray[np.float32] = self._compute(tf.constant(images, tf.uint8)).numpy()
        return features

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        pixels = self._prepare(tf.cast(images, tf.float32), data_format="channels_last")
        features = tf.cast(self._model(pixels, training=False), tf.float32)
        return tf.reshape(features, (-1, *self.feature_shape))

    def _network(self, weights: str) -> Any:
        if weights != IMAGENET and not Path(weights).is_file():
            raise OptionError(
                f"There is no weights file '{weights}': the option 'weights' of the feature extractor "
                f"'{self._offered}' is '{IMAGENET}' or the path of a Keras weights file."
            )
        make = partial(
            getattr(keras.applications, self.name), include_top=False, input_shape=(*self.image_size, 3)
        )
        network: Any = None
        if weights != IMAGENET or self.image_size[0] != NETWORKS[self.name].side:
            # Shows whether the network takes this side, before anything is downloaded.
            try:
                network = make(weights=None)
            except ValueError as error:
                raise OptionError(
                    f"'{self._offered}' cannot take side={self.image_size[0]}: {error}"
                ) from error
        try:
            if weights == IMAGENET:
                # Keras draws the progress of a download on the standard output, where captions may be going,
                # and warns of sizes that differ from those of training: here they are the user's choice.
                with redirect_stdout(sys.stderr), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    network = make(weights=IMAGENET)
            else:
                network.load_weights(weights)
        # Keras raises a bare Exception when a download fails, and nearly anything on a strange file.
        except Exception as error:
            if weights == IMAGENET:
                raise CapframeError(
                    f"The ImageNet weights of {self.name} cannot be downloaded ({error}). Give a local file "
                    "with '--set feature_extractor.weights=FILE', or choose the feature extractor "
                    "'efficientnet-lite0', which needs no download."
                ) from error
            raise OptionError(
                f"'{weights}' does not hold the weights of {self.name} without its classifier ({error}): "
                f"write such a file with keras.applications.{self.name}(include_top=False).save_weights("
                f"'{self.name.lower()}.weights.h5')."
            ) from error
        return network

    @property
    def _offered(self) -> str:
        return f"keras-{self.name.lower()}"


def _rescale(network: Any) -> None:
    """Scale the normalised pixels as Keras does in an EfficientNet with ImageNet weights, and in no other.

    There it divides by the square root of each colour's deviation once more, in a layer that a network built
    to be filled from a file does not have. The normalisation takes that on.
    """
    (layer,) = (layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    mean, variance, count = layer.get_weights()
    layer.set_weights([mean, variance * np.array(_DEVIATION, variance.dtype), count])
    layer.finalize_state()


@cache
def _extractor(name: str) -> type[KerasNetwork]:
    network = NETWORKS[name]
    doc = _DOC.format(name=name, source=network.source, side=network.side)
    return type(name, (KerasNetwork,), {"__doc__": doc, "__module__": __name__, "name": name})


def __getattr__(name: str) -> type[KerasNetwork]:
    if name in NETWORKS:
        return _extractor(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
