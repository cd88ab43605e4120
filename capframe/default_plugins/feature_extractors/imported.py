"""``imported``: stands for the extractor of features that were imported without saying what made them."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from capframe.errors import UsageError


class Imported:
    """Stands for whatever made imported features: they can be trained on, but no picture can be looked at.

    Args:
        feature_shape: shape of one picture's features.
    """

    image_size = (1, 1)

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        self.feature_shape = feature_shape

    def __call__(self, images: NDArray[np.uint8]) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: always; says how to name the extractor.
        """
        shape = "x".join(map(str, self.feature_shape))
        raise UsageError(
            f"These features [{shape}] were imported, and what made them is not known, so that no picture "
            "can be looked at. Import them with 'capframe features import --feature-extractor NAME', or "
            "load the run with Captioner.load(run, feature_extractor=...), naming what made them."
        )
