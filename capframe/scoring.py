"""Score captions against references: matched by picture name, with intervals, warnings and a signature."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import __version__
from .errors import ScoringError
from .metrics import BleuCounts, bleu_counts, cider_d, rouge_l
from .score_report import BLEU, PictureScore, ScoreReport
from .tokens import tokenize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .interfaces import Metric

__all__ = ["PictureScore", "ScoreReport", "match", "score"]

_FEW_PICTURES = 100
_RESAMPLES_AT_ONCE = 100
_INTERVAL = (2.5, 97.5)
_MARKERS = re.compile(r"<(?:start|end|unk)>|\b(?:startseq|endseq)\b", re.IGNORECASE)


def match(hypotheses: Mapping[str, Sequence[str]], references: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the one hypothesis of each picture, in the order of the references.

    Raises:
        ScoringError: pictures have no hypothesis, more than one, or no references; names the first five.
    """
    faults = {
        "have no hypothesis": [name for name in references if not hypotheses.get(name)],
        "have a hypothesis but no references": [name for name in hypotheses if not references.get(name)],
        "have more than one hypothesis": [name for name, texts in hypotheses.items() if len(texts) > 1],
    }
    found = [f"{len(names)} {fault} ({', '.join(names[:5])})" for fault, names in faults.items() if names]
    if found or not references:
        raise ScoringError(
            f"Of {len(references)} pictures to score, {', '.join(found) or 'none'}. Give one hypothesis for "
            "each picture that has references, under the same name."
        )
    return {name: hypotheses[name][0] for name in references}


def score(
    hypotheses: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    *,
    tokens: str = "ptb",
    search: str = "unknown",
    training_captions: Iterable[str] = (),
    bootstrap: int = 1000,
    seed: int = 0,
    metrics: Mapping[str, Metric] | None = None,
) -> ScoreReport:
    """Score one caption of each picture against all its references.

    Args:
        hypotheses: picture name -> caption.
        references: picture name -> its captions. Pictures are matched by name.
        tokens: the scoring normalisation of both sides, see `capframe.tokens.tokenize`.
        search: how the captions were searched, for the signature, such as ``beam:3|length-penalty:1``.
        training_captions: what the captioner was trained on, to count captions that are copies.
        bootstrap: number of resamples of the pictures for the intervals (Koehn, 2004, "Statistical
            significance tests for machine translation evaluation"); 0 for none. Document frequencies of
            CIDEr-D stay those of all pictures.
        seed: of the resamples.
        metrics: name -> further metric, which goes into the report under that name.

    Raises:
        ScoringError: names do not match, there are no pictures, the token rules do not exist, or a
            further metric fails or gives something else than a score and one for each picture.
    """
    captions = match({name: (caption,) for name, caption in hypotheses.items()}, references)
    own = [tokenize(caption, tokens) for caption in captions.values()]
    others = [[tokenize(text, tokens) for text in references[name]] for name in captions]
    copies = {tuple(tokenize(text, tokens)) for text in training_captions}
    counts = bleu_counts(own, others)
    corpus = counts.weighted(np.ones(len(own), np.int64))
    rouge, rouge_rows = rouge_l(own, others)
    cider, cider_rows = cider_d(own, others)
    means = {"rouge_l": rouge_rows} | ({"cider": cider_rows} if len(own) > 1 else {})
    more = {name: _scored_by(name, metric, own, others) for name, metric in (metrics or {}).items()}
    pictures, total = len(own), sum(len(texts) for texts in others)
    per_picture = zip(captions.items(), counts.scores()[:, 3], rouge_rows, cider_rows, strict=True)
    return ScoreReport(
        bleu=tuple(float(value) for value in corpus.scores()),
        rouge_l=rouge,
        cider=cider if pictures > 1 else None,
        intervals=_intervals(counts, means, bootstrap, seed) if pictures > 1 and bootstrap else {},
        pictures=pictures,
        references=total,
        mean_length=float(corpus.hypothesis_lengths) / pictures,
        brevity_ratio=float(corpus.hypothesis_lengths) / max(1, int(corpus.reference_lengths)),
        distinct_words=len({word for words in own for word in words}),
        copied=sum(tuple(words) in copies for words in own) / pictures if copies else None,
        warnings=_warnings(captions, references),
        signature=(
            f"tokens:{tokens}|references:{total / pictures:.1f}|pictures:{pictures}|"
            f"{search if ':' in search else f'search:{search}'}|version:{__version__}"
        ),
        per_picture=tuple(
            PictureScore(*item, float(bleu), float(rouge_row), float(cider_row) if pictures > 1 else None)
            for item, bleu, rouge_row, cider_row in per_picture
        ),
        more={name: value for name, (value, _) in more.items()},
        more_per_picture={name: rows for name, (_, rows) in more.items()},
    )


def _scored_by(
    name: str, metric: Metric, own: Sequence[Sequence[str]], others: Sequence[Sequence[Sequence[str]]]
) -> tuple[float, NDArray[np.float64]]:
    try:
        total, rows = metric(own, others)
        value, per_picture = float(total), np.asarray(rows, np.float64)
    except Exception as error:
        raise ScoringError(f"The metric '{name}' failed: {type(error).__name__}: {error}") from error
    if per_picture.shape != (len(own),):
        raise ScoringError(
            f"The metric '{name}' gave scores {list(per_picture.shape)} for {len(own)} pictures; it must "
            "give one for each."
        )
    return value, per_picture


def _intervals(
    counts: BleuCounts, means: Mapping[str, NDArray[np.float64]], bootstrap: int, seed: int
) -> dict[str, tuple[float, float]]:
    generator = np.random.default_rng(seed)
    pictures = len(counts.hypothesis_lengths)
    chances = np.full(pictures, 1 / pictures)
    resampled = []
    for first in range(0, bootstrap, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, bootstrap - first)
        times = generator.multinomial(pictures, chances, size)
        rows = [(times @ values)[:, None] / pictures for values in means.values()]
        resampled.append(np.hstack([counts.weighted(times).scores(), *rows]))
    low, high = np.percentile(np.concatenate(resampled), _INTERVAL, axis=0)
    ends = zip((*BLEU, *means), low, high, strict=True)
    return {name: (float(low_end), float(high_end)) for name, low_end, high_end in ends}


def _warnings(hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    warnings = []
    if len(hypotheses) == 1:
        warnings.append("One picture: CIDEr-D is not defined, and no interval can be drawn.")
    elif len(hypotheses) < _FEW_PICTURES:
        warnings.append(f"Fewer than {_FEW_PICTURES} pictures: CIDEr-D does not compare with other sets'.")
    sides = {
        "hypotheses": list(hypotheses.values()),
        "references": [text for name in hypotheses for text in references[name]],
    }
    for side, texts in sides.items():
        found = Counter(marker for text in texts for marker in {m.lower() for m in _MARKERS.findall(text)})
        warnings += [
            f"'{marker}' stands in {count} of {len(texts)} {side}: take it out, it distorts the scores."
            for marker, count in sorted(found.items())
        ]
    if empty := sum(not caption.strip() for caption in hypotheses.values()):
        warnings.append(f"{empty} of {len(hypotheses)} hypotheses are empty.")
    return tuple(warnings)
