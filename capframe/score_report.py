"""The report of a scoring: the scores, and what one must know to compare them."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ScoringError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLEU = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
_LABELS = dict(zip(BLEU, ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"), strict=True))
_LABELS |= {"rouge_l": "ROUGE-L", "cider": "CIDEr-D"}
_FACTS = ("pictures", "references", "mean_length", "brevity_ratio", "distinct_words", "copied", "signature")


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
        more: metric name -> score, for metrics of plugins.
        more_per_picture: metric name -> float64 ``[N]``, likewise.
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
    more: Mapping[str, float] = field(default_factory=dict)
    more_per_picture: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, float | None]:
        """``bleu_1`` to ``bleu_4``, ``rouge_l``, ``cider`` and the metrics of plugins by name."""
        return {
            **dict(zip(BLEU, self.bleu, strict=True)),
            "rouge_l": self.rouge_l,
            "cider": self.cider,
            **self.more,
        }

    def to_text(self) -> str:
        """Return a table for people: fractions with 4 digits, then the signature and the warnings."""
        rows = []
        for name, score in self.scores.items():
            low_high = self.intervals.get(name)
            interval = f"  95 %: {low_high[0]:.4f} to {low_high[1]:.4f}" if low_high else ""
            rows.append((_LABELS.get(name, name), "none" if score is None else f"{score:.4f}", interval))
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
        more = {name: scores.tolist() for name, scores in self.more_per_picture.items()}
        rows = [
            {**asdict(row), **{name: scores[number] for name, scores in more.items()}}
            for number, row in enumerate(self.per_picture)
        ]
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
