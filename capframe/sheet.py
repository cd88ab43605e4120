"""Picture sheets: a PNG that shows pictures in a grid, with their captions under them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont

from .errors import ImageError, UsageError
from .image_files import open_image
from .image_views import View
from .images import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .images import ImageSource

    Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER, CARD, EDGE, MAT = "#eef0f3", "#ffffff", "#d9dde3", "#f6f7f9"
DARK, GREY = "#1b2330", "#747d8c"
GAP, MARGIN, CORNER = 16, 12, 8
LINE_SPACING = 1.35
# Fonts of Linux, Windows and macOS with more letters than Pillow's own, which knows ASCII and little else.
WIDE_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "segoeui.ttf", "Arial Unicode.ttf", "arial.ttf")


@dataclass(frozen=True)
class Lines:
    """Wrapped lines of one text, and how they look."""

    lines: list[str]
    font: Font
    colour: str
    line_height: int

    @property
    def height(self) -> int:
        """Return how many pixels they take."""
        return len(self.lines) * self.line_height


def picture_sheet(
    rows: Sequence[tuple[ImageSource, str, str | None]],
    path: str | os.PathLike[str],
    columns: int = 4,
    thumb: int = 224,
) -> Path:
    """Write a picture sheet: each picture whole, its caption in dark and a reference in grey under it.

    Captions beyond ASCII are set in a font of the system where one is found; letters that it lacks show
    as boxes or question marks.

    Args:
        rows: (picture, caption, reference or None); a picture is a path, a PIL image or an RGB uint8
            array ``[H, W, 3]``. They fill the sheet from left to right, then downwards.
        path: the PNG file to write; replaced if it exists.
        columns: pictures side by side.
        thumb: side in pixels of the square that a picture is fitted into.

    Returns:
        The path of the sheet.

    Raises:
        UsageError: no rows, no columns, or thumbnails of less than 32 pixels.
        ImageError: a picture cannot be read.
    """
    if not rows or columns < 1 or thumb < 32:
        raise UsageError(
            f"Cannot make a picture sheet of {len(rows)} pictures in {columns} columns at {thumb} pixels: "
            "give 1 picture and 1 column at least, and thumb=32 or more."
        )
    size = max(11, thumb // 15)
    letters = "".join(f"{caption}{reference}" for _, caption, reference in rows)
    caption_font, reference_font = font_for(size, letters), font_for(size - 2, letters)
    texts = [
        [
            wrapped(caption or "(no caption)", caption_font, DARK, thumb),
            wrapped(reference or "", reference_font, GREY, thumb),
        ]
        for _, caption, reference in rows
    ]
    columns = min(columns, len(rows))
    card_width = thumb + 2 * MARGIN
    # The cards of one line are as high as the longest captions among them need.
    heights = [
        max(_card_height(card, thumb) for card in texts[first : first + columns])
        for first in range(0, len(rows), columns)
    ]
    sheet = Image.new(
        "RGB", (columns * (card_width + GAP) + GAP, sum(heights) + GAP * (len(heights) + 1)), PAPER
    )
    pen = ImageDraw.Draw(sheet)
    top = GAP
    for line, height in enumerate(heights):
        for column, index in enumerate(range(line * columns, min((line + 1) * columns, len(rows)))):
            left = GAP + column * (card_width + GAP)
            pen.rounded_rectangle((left, top, left + card_width, top + height), CORNER, CARD, EDGE)
            sheet.paste(_thumbnail(rows[index][0], thumb), (left + MARGIN, top + MARGIN))
            write_texts(pen, texts[index], left + MARGIN, top + MARGIN + thumb + MARGIN)
        top += height + GAP
    return write_png(sheet, Path(path))


def _card_height(card: list[Lines], thumb: int) -> int:
    return thumb + 3 * MARGIN + sum(text.height for text in card) + (MARGIN // 2 if card[1].lines else 0)


def write_texts(pen: ImageDraw.ImageDraw, card: list[Lines], left: int, top: int) -> None:
    """Write texts under each other."""
    for text in card:
        for line in text.lines:
            pen.text((left, top), line, text.colour, text.font)
            top += text.line_height
        top += MARGIN // 2


def fitted(picture: ImageSource, side: int) -> NDArray[np.uint8]:
    """Return a picture, whole, as RGB uint8 ``[H, W, 3]`` whose longer side is ``side`` pixels.

    Raises:
        ImageError: the picture cannot be decoded.
    """
    width, height = _proportions(picture)
    scale = side / max(width, height)
    return read_image(picture, (max(1, round(height * scale)), max(1, round(width * scale))))


def _thumbnail(picture: ImageSource, side: int) -> Image.Image:
    """Fit a picture into a square without cutting anything off."""
    whole = Image.fromarray(fitted(picture, side))
    thumbnail = Image.new("RGB", (side, side), MAT)
    thumbnail.paste(whole, ((side - whole.width) // 2, (side - whole.height) // 2))
    return thumbnail


def _proportions(picture: ImageSource) -> tuple[int, int]:
    """Width and height of a picture as it is seen: a camera may have noted that it lies on its side."""
    if isinstance(picture, View):
        return _proportions(picture.image)
    if isinstance(picture, np.ndarray):
        return picture.shape[1], picture.shape[0]
    if isinstance(picture, Image.Image):
        width, height = picture.size
        on_its_side = picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (height, width) if on_its_side else (width, height)
    try:
        with open_image(picture) as image:
            return _proportions(image)
    except ImageError:
        return 1, 1  # read_image() will say what is wrong with it


def font_for(size: int, letters: str) -> Font:
    """Return Pillow's own font, the same everywhere; where the letters need it, one of the system's."""
    if not letters.isascii():
        for name in WIDE_FONTS:
            with contextlib.suppress(OSError, ImportError):
                return ImageFont.truetype(name, size)
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError, OSError):  # Pillow before 10.1, or built without FreeType
        return ImageFont.load_default()


def wrapped(text: str, font: Font, colour: str, width: int) -> Lines:
    """Break a text into lines of at most ``width`` pixels; a word that is too long is broken anywhere."""
    lines: list[str] = []
    line = ""
    for word in _drawable(text, font).split():
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = ""
        for letter in word:
            if line and font.getlength(line + letter) > width:
                lines.append(line)
                line = ""
            line += letter
    lines += [line] if line else []
    size = font.size if isinstance(font, ImageFont.FreeTypeFont) else 11
    return Lines(lines, font, colour, round(LINE_SPACING * size))


def _drawable(text: str, font: Font) -> str:
    """Replace what is an error to draw: lone surrogates, and with a bitmap font all but Latin-1."""
    encoding = "utf-8" if isinstance(font, ImageFont.FreeTypeFont) else "latin-1"
    return text.encode(encoding, "replace").decode(encoding)


def write_png(sheet: Image.Image, path: Path) -> Path:
    """Write a PNG file; it is complete or not there at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(aside, "PNG", optimize=True)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path
