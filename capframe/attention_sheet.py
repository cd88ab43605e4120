"""Attention sheets: a PNG that shows a picture once for each word of its caption, lit where it was seen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from .errors import UsageError
from .sheet import (
    CARD,
    CORNER,
    DARK,
    EDGE,
    GAP,
    GREY,
    MARGIN,
    PAPER,
    fitted,
    font_for,
    wrapped,
    write_png,
    write_texts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .images import ImageSource

GLOW = np.array([255.0, 176.0, 32.0])
UNLIT = 0.35  # brightness of what was not looked at


def attention_sheet(
    rows: Sequence[tuple[ImageSource, Sequence[str], NDArray[np.float32]]],
    grid: tuple[int, int],
    path: str | os.PathLike[str],
    columns: int = 6,
    thumb: int = 168,
) -> Path:
    """Write an attention sheet: a card for each picture, with the picture itself and then one for each word.

    A word's picture is grey and dim where it was not looked at. The light is the weight of a region, smoothed
    between the regions, as a share of the highest weight of that word.

    Args:
        rows: (picture, words, weights of the regions ``[words, regions]``), see
            `capframe.attention.attention_of`.
        grid: rows and columns of the regions.
        path: the PNG file to write; replaced if it exists.
        columns: pictures side by side.
        thumb: length in pixels of a picture's longer side.

    Raises:
        UsageError: no rows, no columns, thumbnails of less than 32 pixels, or weights that do not fit.
        ImageError: a picture cannot be read.
    """
    if not rows or columns < 1 or thumb < 32:
        raise UsageError(
            f"Cannot make an attention sheet of {len(rows)} pictures in {columns} columns at {thumb} pixels: "
            "give 1 picture and 1 column at least, and thumb=32 or more."
        )
    for _, words, weights in rows:
        if weights.shape != (len(words), grid[0] * grid[1]):
            raise UsageError(
                f"The weights have shape {weights.shape}; {len(words)} words and a grid of {grid[0]} x "
                f"{grid[1]} regions need {(len(words), grid[0] * grid[1])}."
            )
    columns = min(columns, max(len(words) + 1 for _, words, _ in rows))
    cards = [_card(row, grid, columns, thumb) for row in rows]
    height = GAP + sum(card.height + GAP for card in cards)
    sheet = Image.new("RGB", (cards[0].width + 2 * GAP, height), PAPER)
    top = GAP
    for card in cards:
        sheet.paste(card, (GAP, top))
        top += card.height + GAP
    return write_png(sheet, Path(path))


def lit(picture: NDArray[np.uint8], weights: NDArray[np.float32], grid: tuple[int, int]) -> NDArray[np.uint8]:
    """Light a picture, uint8 ``[H, W, 3]``, where it was looked at: ``weights`` are those of one word."""
    height, width = picture.shape[:2]
    relative = (weights / max(float(weights.max()), 1e-9)).reshape(grid).astype(np.float32)
    smooth = Image.fromarray(relative).resize((width, height), Image.Resampling.BICUBIC)
    light = np.clip(np.asarray(smooth), 0, 1)[..., None]
    grey = picture.mean(axis=-1, keepdims=True)
    shown = UNLIT * grey * (1 - light) + picture * light
    overlaid: NDArray[np.uint8] = (shown + 0.35 * light * (GLOW - shown)).astype(np.uint8)
    return overlaid


def _card(
    row: tuple[ImageSource, Sequence[str], NDArray[np.float32]],
    grid: tuple[int, int],
    columns: int,
    thumb: int,
) -> Image.Image:
    """Draw one picture with its caption, and then the picture of each word."""
    picture, words, weights = row
    whole = fitted(picture, thumb)
    size, letters = max(11, thumb // 11), "".join(words)
    width = columns * (thumb + MARGIN) + MARGIN
    title = wrapped(" ".join(words) or "(no caption)", font_for(size + 3, letters), DARK, width - 2 * MARGIN)
    shown = [whole, *(lit(whole, row, grid) for row in weights)]
    labels = [wrapped("the picture", font_for(size, letters), GREY, thumb)]
    labels += [wrapped(word, font_for(size, letters), DARK, thumb) for word in words]
    cell = whole.shape[0] + max(label.height for label in labels) + MARGIN
    lines = -(-len(shown) // columns)
    card = Image.new("RGB", (width + 1, 2 * MARGIN + title.height + lines * (cell + MARGIN // 2) + 1), PAPER)
    pen = ImageDraw.Draw(card)
    pen.rounded_rectangle((0, 0, card.width - 1, card.height - 1), CORNER, CARD, EDGE)
    write_texts(pen, [title], MARGIN, MARGIN)
    for number, (image, label) in enumerate(zip(shown, labels, strict=True)):
        left = MARGIN + number % columns * (thumb + MARGIN)
        top = 2 * MARGIN + title.height + number // columns * (cell + MARGIN // 2)
        card.paste(Image.fromarray(image), (left + (thumb - whole.shape[1]) // 2, top))
        write_texts(pen, [label], left, top + whole.shape[0] + MARGIN // 4)
    return card
