"""An EfficientNet-Lite that looks at each picture twice: as it is, and mirrored."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .efficientnet_lite import EfficientNetLite


class MirroredEfficientNetLite:
    """Features of a picture and of its mirror image: the mean of two vectors, or two grids of regions.

    Attributes:
        image_size: that of the network, ``(height, width)`` in pixels.
        feature_shape: ``(1280,)``; for R regions ``(2 * R, 1280)``, those of the picture first, then those
            of its mirror image, each in the order in which the network sees them.
        fingerprint: that of the network.

    Args:
        network: ``lite0`` (224 pixels) or ``lite2`` (260 pixels).
        regions: give both grids of regions, one after the other, instead of one vector.

    Raises:
        CapframeError: the package with the weights is not installed, or its file is broken.
    """

    def __init__(self, network: Literal["lite0", "lite2"] = "lite0", regions: bool = False) -> None:
        self._network = EfficientNetLite(network, regions=regions)
        self.image_size = self._network.image_size
        self.fingerprint = self._network.fingerprint
        first, *rest = self._network.feature_shape
        self.feature_shape: tuple[int, ...] = (2 * first, *rest) if regions else (first,)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map RGB ``images`` uint8 ``[N, height, width, 3]`` to features float32 ``[N, *feature_shape]``."""
        plain, mirrored = self._network(images), self._network(images[:, :, ::-1])
        if plain.ndim == 3:
            return np.concatenate([plain, mirrored], axis=1)
        mean: NDArray[np.float32] = (plain + mirrored) / np.float32(2)
        return mean
