"""Further views of pictures, to learn from: mirrored, and cut out."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .name_table import NamedValues, NameTable

if TYPE_CHECKING:
    from .images import ImageSource

_VIEW = re.compile(r"#view[1-9]\d*$")

LEAST_SHARE, MOST_SHARE = 0.75, 0.95
"""How much of each side of a picture a cut-out shows."""


class View(NamedTuple):
    """One view of a picture: the first is mirrored, the others are cut out, every second of them mirrored.

    Attributes:
        image: the picture.
        name: its name; together with the number it decides what is cut out.
        number: which view, from 1.
    """

    image: ImageSource
    name: str
    number: int

    def pixels(
        self, read: Callable[[Any, tuple[int, int]], NDArray[np.uint8]], size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Return the view, RGB uint8 ``[height, width, 3]``.

        Args:
            read: reads a picture in a size, as `capframe.images.read_image` does.
            size: ``(height, width)`` in pixels.
        """
        if self.number == 1:
            return read(self.image, size)[:, ::-1]
        height, width = size
        random = np.random.default_rng([zlib.crc32(self.name.encode()), self.number])
        share = random.uniform(LEAST_SHARE, MOST_SHARE)
        # Read larger and cut: nothing is enlarged that the file has in more detail.
        whole = read(self.image, (round(height / share), round(width / share)))
        top = int(random.integers(0, whole.shape[0] - height + 1))
        left = int(random.integers(0, whole.shape[1] - width + 1))
        cut = whole[top : top + height, left : left + width]
        return cut[:, ::-1] if self.number % 2 else cut


def view_name(name: str, number: int) -> str:
    """Return the name under which a feature store holds a view; 0 is the picture itself."""
    return f"{name}#view{number}" if number else name


def is_view(name: str) -> bool:
    """Whether a feature store's name is that of a view, and not of a picture."""
    return _VIEW.search(name) is not None


def views_of(images: Mapping[str, ImageSource], views: int) -> Mapping[str, ImageSource]:
    """Return the views of pictures by their names: ``views`` of each, the pictures themselves not counted."""
    names = (view_name(name, number) for name in images for number in range(1, views + 1))
    return NamedValues(NameTable(names), partial(_view, images))


def _view(images: Mapping[str, ImageSource], name: str) -> View:
    image, _, number = name.rpartition("#view")
    return View(images[image], image, int(number))
