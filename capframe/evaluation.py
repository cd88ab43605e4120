"""Score a trained captioner on one split of a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from .composition import Spec, compose_all
from .dataset import Dataset
from .errors import FeatureStoreError, ScoringError, UsageError
from .features import FeatureStore
from .progress import track
from .scoring import ScoreReport, score
from .search import SearchOptions

if TYPE_CHECKING:
    from .captioning import Captioning, Features, Member
    from .extraction import PathLike

    Stores: TypeAlias = FeatureStore | PathLike | Sequence[FeatureStore | PathLike] | None

CHUNK = 256


def evaluate(
    captioner: Captioning,
    dataset: Dataset,
    split: str = "dev",
    *,
    features: Stores = None,
    tokens: str = "ptb",
    metrics: Sequence[Spec] = (),
    allow_train: bool = False,
    progress: bool = False,
    **search: Any,
) -> tuple[ScoreReport, dict[str, str]]:
    """Caption the pictures of one split and score the captions against all their references.

    Args:
        captioner: a trained one, or an ensemble.
        dataset: references and pictures.
        split: which pictures.
        features: a store that holds their features, or several, each by another extractor of an ensemble;
            what is not stored for an extractor is computed from the files.
        tokens: rules of the scoring normalisation, ``ptb`` or ``karpathy``.
        metrics: further metrics, each a registered name, a ``(name, options)`` pair, or a ready object.
        allow_train: score pictures that the captioner, or any of the ensemble, was trained on, too.
        progress: show what is going on.
        **search: ``beam``, ``max_words``, ``min_words``, ``length_penalty``, ``block_repeats``; see
            `capframe.search.SearchOptions`.

    Returns:
        The scores, and the captions by picture name.

    Raises:
        ScoringError: pictures of the split were trained on.
        UsageError: there are neither picture files nor ``features``, or two stores of one extractor.
        FeatureStoreError: ``features`` was filled in another way, or lacks pictures.
    """
    options = SearchOptions.of(search)
    references = dataset.split(split)
    members = captioner.members
    further = compose_all(members[0].composition.registry, "metric", metrics)
    seen = [image for image in references if captioner.saw(image)]
    if seen and not allow_train:
        raise ScoringError(
            f"This {'captioner' if len(members) == 1 else 'ensemble'} was trained on {len(seen)} of the "
            f"{len(references)} pictures to be scored ({', '.join(seen[:5])}). Score others, or allow it "
            "(--allow-train)."
        )
    hypotheses = {}
    with track(len(references), "captioning", enabled=progress) as bar:
        for image, caption in _captions(captioner, dataset, list(references), features, search):
            hypotheses[image] = caption
            bar.advance(1)
    training_captions = {
        caption
        for member in members
        for image, texts in dataset.captions.items()
        if member.trained.saw(image)
        for caption in member.composition.clean(texts)
    }
    report = score(
        hypotheses,
        references,
        tokens=tokens,
        search=str(options),
        training_captions=training_captions,
        metrics={metric.name: metric.value for metric in further},
    )
    return report, hypotheses


def stores_of(captioner: Captioning, features: Stores) -> list[FeatureStore | None]:
    """Return the store of each of ``captioner.sources``; None where there is none.

    Raises:
        FeatureStoreError: a store was filled in another way.
        UsageError: there are two stores of one extractor.
    """
    given = [features] if isinstance(features, (str, os.PathLike, FeatureStore)) else features or []
    stores = [one if isinstance(one, FeatureStore) else FeatureStore(one) for one in given]
    sources = captioner.sources
    for store in stores:
        if len(sources) == 1:
            store.check_source(sources[0])
        elif not any(map(store.source.gives_same_as, sources)):
            raise FeatureStoreError(
                f"The feature store '{store.path}' was filled by {store.source}, and this ensemble looks at "
                f"features by {' and '.join(map(str, sources))}: give a store of one of these."
            )
    matched: list[FeatureStore | None] = []
    for source in sources:
        fitting = [store for store in stores if store.source.gives_same_as(source)]
        if len(fitting) > 1:
            both = " and ".join(f"'{store.path}'" for store in fitting)
            raise UsageError(
                f"The feature stores {both} were filled by the same extractor: give one of them."
            )
        matched.append(fitting[0] if fitting else None)
    return matched


def _captions(
    captioner: Captioning,
    dataset: Dataset,
    images: list[str],
    features: Stores,
    search: Mapping[str, Any],
) -> Iterator[tuple[str, str]]:
    stores = stores_of(captioner, features)
    unstored = [one for one, store in zip(captioner.distinct, stores, strict=True) if store is None]
    for names, computed in _computed(captioner, dataset, images, unstored):
        fresh = iter(computed)
        arrays = [next(fresh) if store is None else store.gather(names) for store in stores]
        found = captioner.caption_features(arrays if len(arrays) > 1 else arrays[0], **search)
        yield from zip(names, found, strict=True)


def _computed(
    captioner: Captioning, dataset: Dataset, images: list[str], unstored: Sequence[Member]
) -> Iterator[tuple[list[str], list[Features]]]:
    """Yield names and, for each of the members ``unstored``, what its extractor makes of the files."""
    if not unstored:
        yield from ((images[first : first + CHUNK], []) for first in range(0, len(images), CHUNK))
        return
    files = dataset.image_paths
    if without := [image for image in images if image not in files]:
        by = f" by {unstored[0].trained.source}" if len(captioner.distinct) > 1 else ""
        raise UsageError(
            f"There are no picture files of {', '.join(without[:5])}. Give the picture folder, or a store of "
            f"their features{by} (--features)."
        )
    yield from captioner.features_of({image: files[image] for image in images}, unstored)
