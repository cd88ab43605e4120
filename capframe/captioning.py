"""Captioning with what was trained, be it one captioner or several together."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from .composition import Composition
from .dataset import Dataset
from .errors import UsageError
from .evaluation import evaluate
from .extraction import OnBadImage
from .features import FeatureSource
from .images import ImageSource, iterate_batches
from .scoring import ScoreReport
from .search import Search, SearchOptions
from .trained import Trained

CAPTIONING_BATCH = 32

Features = NDArray[np.float32]


class Member(NamedTuple):
    """One of those that caption together: its parts, and what training left."""

    composition: Composition
    trained: Trained

    def shares_features(self, other: Member) -> bool:
        """Whether both see the same features: those of one extractor, with the same options and weights."""
        mine, theirs = self.composition.feature_extractor, other.composition.feature_extractor
        if mine.plugin is None or theirs.plugin is None:
            # Two ready-made objects of one class may differ in what nobody recorded.
            same = mine.plugin is theirs.plugin and mine.value is theirs.value
        else:
            here = replace(self.trained.source, extractor=mine.name, options=mine.options)
            there = replace(other.trained.source, extractor=theirs.name, options=theirs.options)
            same = here.gives_same_as(there)
        return same and self.trained.source.gives_same_as(other.trained.source)


class Captioning(ABC):
    """What one captioner and an ensemble of them have in common: captions, and their scores."""

    _search: Search | None = None

    @property
    @abstractmethod
    def members(self) -> tuple[Member, ...]:
        """Those that caption together, with the same vocabulary."""

    def caption(self, images: Iterable[ImageSource], **search: Any) -> list[str]:
        """Caption pictures: paths, PIL images, or RGB uint8 arrays ``[H, W, 3]``.

        Args:
            images: the pictures.
            **search: ``beam``, ``max_words``, ``min_words``, ``length_penalty``, ``block_repeats``; see
                `capframe.search.SearchOptions`.

        Raises:
            ImageError: a picture cannot be read.
            UsageError: ``images`` is one picture, not several.
        """
        if isinstance(images, (str, os.PathLike, Image)) or (
            isinstance(images, np.ndarray) and images.ndim < 4
        ):
            raise UsageError("caption() takes several pictures: put one picture in a list, [picture].")
        named = {str(number): image for number, image in enumerate(images)}
        captions = dict(self.caption_each(named, **search))
        return [captions[name] for name in named]

    def caption_each(
        self, images: Mapping[str, ImageSource], on_bad_image: OnBadImage | None = None, **search: Any
    ) -> Iterator[tuple[str, str]]:
        """Yield (name, caption) for each of ``images`` (name -> picture), batch by batch.

        Raises:
            ImageError: a picture cannot be read and there is no ``on_bad_image`` to report it to.
        """
        for names, features in self.features_of(images, self.distinct, on_bad_image):
            yield from zip(names, self._captions(features, search), strict=True)

    def caption_features(self, features: Features | Sequence[Features], **search: Any) -> list[str]:
        """Caption pictures from their features; see `caption`.

        Args:
            features: float32 ``[N, *feature_shape]``; for an ensemble with several feature extractors a list
                of such arrays, one for each of `sources`, all of the same pictures in the same order.
            **search: as of `caption`.
        """
        several = len(self.distinct) > 1 and not isinstance(features, np.ndarray)
        arrays = [np.asarray(own, np.float32) for own in (features if several else [features])]
        return self._captions(arrays, search)

    def evaluate(
        self, dataset: Dataset, split: str = "dev", **options: Any
    ) -> tuple[ScoreReport, dict[str, str]]:
        """Score the captions of one split; see `capframe.evaluation.evaluate`."""
        return evaluate(self, dataset, split, **options)

    @property
    def sources(self) -> tuple[FeatureSource, ...]:
        """What makes the features that `caption_features` takes: a source for each distinct extractor."""
        return tuple(member.trained.source for member in self.distinct)

    @property
    def distinct(self) -> tuple[Member, ...]:
        """The first member with each distinct feature extractor."""
        distinct: list[Member] = []
        for member in self.members:
            if not any(member.shares_features(one) for one in distinct):
                distinct.append(member)
        return tuple(distinct)

    def saw(self, image: str) -> bool:
        """Whether any member was trained on the picture of this name."""
        return any(member.trained.saw(image) for member in self.members)

    def features_of(
        self,
        images: Mapping[str, ImageSource],
        members: Sequence[Member],
        on_bad_image: OnBadImage | None = None,
    ) -> Iterator[tuple[list[str], list[Features]]]:
        """Yield names and, for each of ``members``, the features of these pictures, batch by batch.

        Raises:
            ImageError: a picture cannot be read and there is no ``on_bad_image`` to report it to.
        """
        extractors = [one.trained.checked_extractor(one.composition.feature_extractor) for one in members]
        sizes = [(extractor.image_size[0], extractor.image_size[1]) for extractor in extractors]
        first, *further = dict.fromkeys(sizes)
        for names, pixels in iterate_batches(images, first, CAPTIONING_BATCH, on_bad_image):
            readable = {name: images[name] for name in names}
            sized = {first: pixels}
            for size in further:
                ((_, sized[size]),) = iterate_batches(readable, size, CAPTIONING_BATCH)
            yield names, [extractor(sized[size]) for extractor, size in zip(extractors, sizes, strict=True)]

    def _captions(self, features: Sequence[Features], search: Mapping[str, Any]) -> list[str]:
        """Caption pictures from one array of features for each of `distinct`."""
        distinct = self.distinct
        if len(features) != len(distinct):
            raise UsageError(
                f"Features of {len(features)} feature extractors were given and {len(distinct)} are needed, "
                f"of each an array: {', '.join(map(str, self.sources))}."
            )
        for own, member in zip(features, distinct, strict=True):
            shape = member.trained.source.feature_shape
            if own.shape[1:] != shape:
                raise UsageError(f"The features have shape {own.shape}; they must be [N, {shape}].")
        if len({len(own) for own in features}) > 1:
            lengths = " and ".join(str(len(own)) for own in features)
            raise UsageError(f"The features are of {lengths} pictures; they must be of the same pictures.")
        shared = [
            next(own for own, one in zip(features, distinct, strict=True) if one.shares_features(member))
            for member in self.members
        ]
        assert self._search is not None
        tokens, _ = self._search(shared, SearchOptions.of(search))
        vocabulary = self.members[0].trained.vocabulary
        return [vocabulary.decode(row) for row in tokens.tolist()]
