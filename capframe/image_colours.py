"""Pictures of every colour mode -> 8-bit RGB of one size, as the eye sees them."""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

_ALPHA_MODES = frozenset({"LA", "PA", "RGBA", "RGBa"})
_SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_WHITE = 65535
_BITS_TAG, _PHOTOMETRIC_TAG, _WHITE_IS_ZERO = 258, 262, 0


class UnknownRangeError(ValueError):
    """The numbers of a picture do not say which of them is black and which is white."""


def to_rgb(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Convert a picture of any mode to mode ``RGB``, and to ``size``, which is ``(width, height)``.

    What is transparent shows white. Levels of 16 bits (of 12, in TIFF files) are scaled, not clipped. The
    filter is bicubic, with antialiasing.

    Raises:
        UnknownRangeError: the pixels are floats, or integers beyond 16 bits.
    """
    # With as few copies as can be: each of a large picture may take a gigabyte.
    if image.mode == "F":
        raise UnknownRangeError("its pixels are floats of unknown range; save it with 8 or 16 bits")
    if image.mode in _SIXTEEN_BIT_MODES:
        return _resized(_from_levels(image), size).convert("RGB")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        picture = image if image.mode == "RGBA" else image.convert("RGBA")
        on_white = Image.new("RGB", picture.size, "white")
        on_white.paste(picture, mask=picture)
        return _resized(on_white, size)
    return _resized(image if image.mode in ("RGB", "L") else image.convert("RGB"), size).convert("RGB")


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.BICUBIC)


def _from_levels(image: Image.Image) -> Image.Image:
    """Return the picture in mode ``L``; Pillow would clip at 255 instead of scaling."""
    levels = np.asarray(image)
    white, inverted = _WHITE, False
    if isinstance(image, TiffImageFile):
        white = min(_WHITE, 2 ** max(image.tag_v2.get(_BITS_TAG, (16,))) - 1)
        # Pillow turns these round where they have 8 bits, and leaves those of 16 as they are.
        inverted = image.tag_v2.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO
    if levels.min() < 0 or levels.max() > white:
        raise UnknownRangeError("its pixels are integers of unknown range; save it with 8 or 16 bits")
    scaled = levels.astype(np.float32)
    scaled *= np.float32(255 / white)
    if inverted:
        np.subtract(255, scaled, out=scaled)
    grey = np.rint(scaled, out=scaled).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[levels == transparent] = 255
    return Image.fromarray(grey)
