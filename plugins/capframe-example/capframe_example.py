"""A capframe plugin to copy: the feature extractor `colour-grid` and the text cleaner `without-words`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import capframe

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ColourGrid:
    """Mean colours of the cells of a grid laid over the picture, from 0 to 1. Needs no weights.

    Args:
        cells: the grid has so many cells on each side.
    """

    def __init__(self, cells: int = 8) -> None:
        self.cells = cells
        self.image_size = (8 * cells, 8 * cells)
        self.feature_shape = (cells * cells * 3,)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map RGB uint8 ``[N, 8 cells, 8 cells, 3]`` to float32 ``[N, 3 cells²]``."""
        blocks = images.reshape(len(images), self.cells, 8, self.cells, 8, 3)
        means: NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32) / np.float32(255)
        return means.reshape(len(images), -1)


class WithoutWords:
    """Leaves words out of captions.

    Args:
        words: the words, separated by spaces.
    """

    def __init__(self, words: str = "a an the") -> None:
        self.words = frozenset(words.split())

    def __call__(self, caption: str) -> str:
        """Return the caption without these words."""
        return " ".join(word for word in caption.split() if word not in self.words)


@capframe.hookimpl
def register_feature_extractors() -> dict[str, type[ColourGrid]]:
    """Offer ``colour-grid``."""
    return {"colour-grid": ColourGrid}


@capframe.hookimpl
def register_text_cleaners() -> dict[str, type[WithoutWords]]:
    """Offer ``without-words``."""
    return {"without-words": WithoutWords}
