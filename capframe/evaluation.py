"""Score a trained captioner on one split of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .composition import Spec, compose_all
from .dataset import Dataset
from .errors import ScoringError, UsageError
from .features import FeatureStore
from .progress import track
from .scoring import ScoreReport, score
from .search import SearchOptions

if TYPE_CHECKING:
    from .captioner import Captioner
    from .extraction import PathLike

CHUNK = 256


def evaluate(
    captioner: Captioner,
    dataset: Dataset,
    split: str = "dev",
    *,
    features: FeatureStore | PathLike | None = None,
    tokens: str = "ptb",
    metrics: Sequence[Spec] = (),
    allow_train: bool = False,
    progress: bool = False,
    **search: Any,
) -> tuple[ScoreReport, dict[str, str]]:
    """Caption the pictures of one split and score the captions against all their references.

    Args:
        captioner: a trained one.
        dataset: references and pictures.
        split: which pictures.
        features: a store that holds their features; without it they are computed from the files.
        tokens: rules of the scoring normalisation, ``ptb`` or ``karpathy``.
        metrics: further metrics, each a registered name, a ``(name, options)`` pair, or a ready object.
        allow_train: score pictures that the captioner was trained on, too.
        progress: show what is going on.
        **search: ``beam``, ``max_words``, ``min_words``, ``length_penalty``; see
            `capframe.search.SearchOptions`.

    Returns:
        The scores, and the captions by picture name.

    Raises:
        ScoringError: pictures of the split were trained on.
        UsageError: there are neither picture files nor ``features``.
        FeatureStoreError: ``features`` was filled in another way, or lacks pictures.
    """
    options = SearchOptions.of(search)
    references = dataset.split(split)
    further = compose_all(captioner.composition.registry, "metric", metrics)
    trained = captioner.trained
    seen = [image for image in references if trained.saw(image)]
    if seen and not allow_train:
        raise ScoringError(
            f"This captioner was trained on {len(seen)} of the {len(references)} pictures to be scored "
            f"({', '.join(seen[:5])}). Score others, or allow it (--allow-train)."
        )
    hypotheses = {}
    with track(len(references), "captioning", enabled=progress) as bar:
        for image, caption in _captions(captioner, dataset, list(references), features, search):
            hypotheses[image] = caption
            bar.advance(1)
    training_captions = [
        caption
        for image, texts in dataset.captions.items()
        if trained.saw(image)
        for caption in captioner.composition.clean(texts)
    ]
    report = score(
        hypotheses,
        references,
        tokens=tokens,
        search=str(options),
        training_captions=training_captions,
        metrics={metric.name: metric.value for metric in further},
    )
    return report, hypotheses


def _captions(
    captioner: Captioner,
    dataset: Dataset,
    images: list[str],
    features: FeatureStore | PathLike | None,
    search: Mapping[str, Any],
) -> Iterator[tuple[str, str]]:
    if features is None:
        without = [image for image in images if image not in dataset.image_paths]
        if without:
            raise UsageError(
                f"There are no picture files of {', '.join(without[:5])}. Give the picture folder, or a "
                "store of their features (--features)."
            )
        yield from captioner.caption_each({image: dataset.image_paths[image] for image in images}, **search)
        return
    store = features if isinstance(features, FeatureStore) else FeatureStore(features)
    store.check_source(captioner.trained.source)
    for first in range(0, len(images), CHUNK):
        chunk = images[first : first + CHUNK]
        yield from zip(chunk, captioner.caption_features(store.gather(chunk), **search), strict=True)
