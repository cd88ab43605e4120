"""Score captions against references: matched by picture name, with intervals, warnings and a signature."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .errors import ScoringError
from .metrics import BleuCounts, bleu_counts, cider_d, rouge_l
from .tokens import tokenize

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW_PICTURES = 100
_RESAMPLES_AT_ONCE = 100
_INTERVAL = (2.5, 97.5)
_BLEU = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
_LABELS = dict(zip(_BLEU, ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"), strict=True))
_LABELS |= {"rouge_l": "ROUGE-L", "cider": "CIDEr-D"}
_FACTS = ("pictures", "references", "mean_length", "brevity_ratio", "distinct_words", "copied", "signature")
_MARKERS = re.compile(r"<(?:start|end|unk)>|\b(?:startseq|endseq)\b", re.IGNORECASE)


@dataclass(frozen=True)
class PictureScore:
    """One picture's row: its name, its caption as given, and its own scores."""

    image: str
    caption: str
    bleu_4: float
    rouge_l: float
    cider: float | None


@dataclass(frozen=True)
class ScoreReport:
    """Scores of a set of captions, and what one must know to compare them.

    Attributes:
        bleu: BLEU-1 to BLEU-4 at corpus level, 0 to 1.
        rouge_l: mean ROUGE-L, 0 to 1.
        cider: mean CIDEr-D, 0 to 10, with document frequencies from the references scored; None for one
            picture, where it is not defined.
        intervals: 95 % bootstrap interval over pictures of ``bleu_1`` to ``bleu_4``, ``rouge_l`` and
            ``cider``; empty for one picture or without resamples.
        pictures: number of pictures.
        references: number of references of all pictures.
        mean_length: of the captions, in tokens.
        brevity_ratio: tokens of all captions over those of the references closest to them in length.
        distinct_words: number of different tokens in the captions.
        copied: share of captions whose tokens are those of a training caption; None where no training
            captions were given.
        warnings: what makes the numbers doubtful.
        signature: in one line, how the captions were scored.
        per_picture: a row a picture, in the order of the references.
    """

    bleu: tuple[float, ...]
    rouge_l: float
    cider: float | None
    intervals: Mapping[str, tuple[float, float]]
    pictures: int
    references: int
    mean_length: float
    brevity_ratio: float
    distinct_words: int
    copied: float | None
    warnings: tuple[str, ...]
    signature: str
    per_picture: tuple[PictureScore, ...]

    @property
    def scores(self) -> dict[str, float | None]:
        """``bleu_1`` to ``bleu_4``, ``rouge_l`` and ``cider`` by name."""
        return {**dict(zip(_BLEU, self.bleu, strict=True)), "rouge_l": self.rouge_l, "cider": self.cider}

    def to_text(self) -> str:
        """Return a table for people: fractions with 4 digits, then the signature and the warnings."""
        rows = []
        for name, score in self.scores.items():
            low_high = self.intervals.get(name)
            interval = f"  95 %: {low_high[0]:.4f} to {low_high[1]:.4f}" if low_high else ""
            rows.append((_LABELS[name], "none" if score is None else f"{score:.4f}", interval))
        rows += [
            ("pictures", f"{self.pictures}", ""),
            ("mean length", f"{self.mean_length:.4f}", ""),
            ("brevity ratio", f"{self.brevity_ratio:.4f}", ""),
            ("distinct words", f"{self.distinct_words}", ""),
            ("copied from training", "unknown" if self.copied is None else f"{self.copied:.4f}", ""),
        ]
        names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
        table = [f"{name:<{names}}  {value:>{values}}{interval}" for name, value, interval in rows]
        return "\n".join([*table, self.signature, *(f"warning: {warning}" for warning in self.warnings)])

    def to_json(self) -> dict[str, Any]:
        """Return all but the rows of pictures, in types that JSON knows, with every digit."""
        return {
            **self.scores,
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            **{name: getattr(self, name) for name in _FACTS},
            "warnings": list(self.warnings),
        }

    def write_per_picture(self, path: str | os.PathLike[str]) -> None:
        """Write the rows of pictures as CSV (UTF-8) with a header, whole or not at all.

        Raises:
            ScoringError: the file cannot be written.
        """
        target = Path(path)
        aside = target.with_name(f".{target.name}.{os.getpid()}.partial")
        rows = [asdict(row) for row in self.per_picture]
        try:
            with aside.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            aside.replace(target)
        except OSError as error:
            raise ScoringError(f"{target} cannot be written: {error.strerror}. Name another file.") from None
        finally:
            aside.unlink(missing_ok=True)


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

    Raises:
        ScoringError: names do not match, there are no pictures, or the token rules do not exist.
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
    )


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
    ends = zip((*_BLEU, *means), low, high, strict=True)
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
