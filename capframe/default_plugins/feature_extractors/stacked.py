"""Several EfficientNet-Lites that look at the same picture, their features side by side."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from capframe.errors import OptionError

from .efficientnet_lite import VARIANTS, EfficientNetLite

SMALLEST = 32


class StackedEfficientNetLite:
    """Features of a picture from several networks, which err in different things.

    All of them see the picture in one size, so that their regions are the same ones.

    Attributes:
        image_size: ``(height, width)`` in pixels.
        feature_shape: 1280 numbers a network, those of the first network first: ``(2560,)`` for two, or with
            regions ``(81, 2560)`` at 260 pixels.
        fingerprint: those of the networks, in order.

    Args:
        networks: ``lite0`` and ``lite2``, each once.
        regions: give the grid of regions instead of its mean.
        image_size: height and width of the pictures in pixels; by default those of the largest network. At
            288 there are as many regions as at 260, and none reaches past the edge of the picture.

    Raises:
        OptionError: there is no network, one comes twice, or the pictures are smaller than 32 pixels.
        CapframeError: a package with weights is not installed, or its file is broken.
    """

    def __init__(
        self,
        networks: tuple[Literal["lite0", "lite2"], ...] = ("lite0", "lite2"),
        regions: bool = False,
        image_size: int | None = None,
    ) -> None:
        if not networks or len(set(networks)) < len(networks):
            raise OptionError(
                "The feature extractor 'efficientnet-lite-stacked' cannot take "
                f"networks={list(networks)}: name one or more networks, each once."
            )
        if image_size is not None and image_size < SMALLEST:
            raise OptionError(
                "The feature extractor 'efficientnet-lite-stacked' cannot take "
                f"image_size={image_size}: it must be {SMALLEST} or more."
            )
        size = image_size or max(VARIANTS[network].image_size for network in networks)
        self._networks = [EfficientNetLite(name, regions=regions, image_size=size) for name in networks]
        self.image_size = (size, size)
        self.fingerprint = "-".join(network.fingerprint for network in self._networks)
        first, *_ = shapes = [network.feature_shape for network in self._networks]
        self.feature_shape: tuple[int, ...] = (*first[:-1], sum(shape[-1] for shape in shapes))

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map RGB ``images`` uint8 ``[N, height, width, 3]`` to features float32 ``[N, *feature_shape]``."""
        return np.concatenate([network(images) for network in self._networks], axis=-1)
