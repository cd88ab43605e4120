"""Where a captioner looked at each word of a caption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .captioning import Captioning, Member
from .errors import UsageError
from .images import ImageSource
from .interfaces import Attention
from .vocabulary import PAD, START

WHAT_TO_USE = (
    "Train with a decoder that weighs regions (--decoder transformer or show-attend-tell) on an extractor "
    "that gives a grid (--feature-extractor efficientnet-lite0 --set feature_extractor.regions=true)."
)


class AttendedCaption(NamedTuple):
    """The words of a caption, and where the decoder looked.

    Attributes:
        words: as the caption has them.
        weights: float32 ``[words, regions]``: the share of each region in the prediction of each word; a row
            sums to 1. The regions are in the order of the extractor: rows from left to right, then downwards.
    """

    words: tuple[str, ...]
    weights: NDArray[np.float32]


def attention_of(
    captioner: Captioning,
    images: Iterable[ImageSource],
    captions: Sequence[str] | None = None,
    **search: Any,
) -> list[AttendedCaption]:
    """Caption pictures, and return where the decoder looked at each word.

    Args:
        captioner: a trained one whose decoder weighs regions.
        images: paths, PIL images, or RGB uint8 arrays ``[H, W, 3]``.
        captions: look at the words of these, one for each picture, instead of captioning the pictures; words
            that the captioner does not know are taken as ``<unk>``.
        **search: as of `capframe.Captioner.caption`.

    Raises:
        UsageError: it has no weights to show: it is several captioners, its decoder weighs nothing, or its
            extractor gives one vector; or the captions are not as many as the pictures.
        ImageError: a picture cannot be read.
    """
    member = checked(captioner)
    pictures = list(images)
    if captions is None:
        captions = captioner.caption(pictures, **search)
    if len(captions) != len(pictures):
        raise UsageError(
            f"{len(captions)} captions were given for {len(pictures)} pictures: give one for each."
        )
    named = {str(number): picture for number, picture in enumerate(pictures)}
    attended: list[AttendedCaption] = []
    for names, (features,) in captioner.features_of(named, [member]):
        attended += _attended(member, features, captions[len(attended) : len(attended) + len(names)])
    return attended


def checked(captioner: Captioning) -> Member:
    """Return the one member of a captioner that can show where it looks.

    Raises:
        UsageError: it has no weights to show.
    """
    member, *others = captioner.members
    if others:
        raise UsageError("Where several captioners look together cannot be shown: give one run.")
    if not isinstance(member.composition.decoder.value, Attention):
        name = member.composition.decoder.name
        raise UsageError(f"The decoder '{name}' does not say where it looks. {WHAT_TO_USE}")
    if len(member.trained.source.feature_shape) < 2:
        raise UsageError(
            f"The captioner sees a picture as one vector ({member.trained.source}), so there are no regions "
            f"that it could look at. {WHAT_TO_USE}"
        )
    return member


def grid_of(captioner: Captioning) -> tuple[int, int]:
    """Return how many rows and columns of regions the pictures of a captioner have.

    Raises:
        UsageError: it has no weights to show, or its regions are no grid.
    """
    *rows, regions, _ = checked(captioner).trained.source.feature_shape
    side = round(float(regions) ** 0.5)
    if len(rows) == 1:
        return rows[0], regions
    if rows or side * side != regions:
        raise UsageError(
            f"The captioner sees {regions} regions of a picture, which are no square grid, so they cannot be "
            f"drawn over it; capframe.attention.attention_of() gives their weights. {WHAT_TO_USE}"
        )
    return side, side


def _attended(
    member: Member, features: NDArray[np.float32], captions: Sequence[str]
) -> list[AttendedCaption]:
    words = [tuple(caption.split()) for caption in captions]
    tokens = np.full((len(words), max(map(len, words)) + 1), PAD, np.int32)
    for row, caption in zip(tokens, captions, strict=True):
        known = (START, *member.trained.vocabulary.encode(caption))
        row[: len(known)] = known
    weights = member.composition.decoder.value.attention(member.trained.model, features, tokens)
    return [
        AttendedCaption(own, row[: len(own)]) for own, row in zip(words, np.asarray(weights), strict=True)
    ]
