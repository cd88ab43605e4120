"""BLEU, ROUGE-L and CIDEr-D over tokens, with the digits of the COCO toolkit.

Every function takes aligned sequences, one entry a picture: ``hypotheses`` are token lists, ``references``
are sequences of token lists. How captions become tokens is `capframe.tokens`' business.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .errors import ScoringError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Tokens: TypeAlias = Sequence[str]
NGrams: TypeAlias = Counter[tuple[str, ...]]

# The toolkit's: they keep its quotients finite and are not smoothing.
_TINY = 1e-15
_SMALL = 1e-9
_ROUGE_BETA = 1.2
_CIDER_ORDERS = 4
_CIDER_SIGMA = 6.0


def count_ngrams(tokens: Tokens, max_order: int = 4) -> NGrams:
    """Count the n-grams of 1 to ``max_order`` tokens."""
    words = tuple(tokens)
    return Counter(
        words[start : start + order]
        for order in range(1, max_order + 1)
        for start in range(len(words) - order + 1)
    )


@dataclass(frozen=True)
class BleuCounts:
    """What BLEU needs to know of a picture, or, summed, of a corpus; of many at once, row by row.

    Attributes:
        matches: n-grams of the hypotheses that are in references, clipped, int64 ``[..., max_order]``.
        guesses: n-grams of the hypotheses, int64 ``[..., max_order]``.
        hypothesis_lengths: in tokens, int64 ``[...]``.
        reference_lengths: of the reference that is closest in length, the shorter one where two are
            equally close, in tokens, int64 ``[...]``.
    """

    matches: NDArray[np.int64]
    guesses: NDArray[np.int64]
    hypothesis_lengths: NDArray[np.int64]
    reference_lengths: NDArray[np.int64]

    def weighted(self, weights: NDArray[np.int64]) -> BleuCounts:
        """Sum the rows, each taken as often as ``weights`` (int64 ``[..., N]``) says: of ``[N]`` a corpus."""
        counts = (self.matches, self.guesses, self.hypothesis_lengths, self.reference_lengths)
        return BleuCounts(*(weights @ column for column in counts))

    def scores(self) -> NDArray[np.float64]:
        """Return BLEU-1 to BLEU-``max_order``, float64 ``[..., max_order]``, without smoothing.

        Papineni et al., 2002, "BLEU: a method for automatic evaluation of machine translation", section 2.3.
        """
        precisions = (self.matches + _TINY) / (self.guesses + _SMALL)
        ratio = (self.hypothesis_lengths + _TINY) / (self.reference_lengths + _SMALL)
        brevity_penalty = np.exp(np.minimum(0.0, 1 - 1 / ratio))
        roots = 1 / np.arange(1, self.matches.shape[-1] + 1)
        scores: NDArray[np.float64] = np.cumprod(precisions, axis=-1) ** roots
        scores *= np.expand_dims(brevity_penalty, -1)
        return scores


def bleu_counts(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]], max_order: int = 4
) -> BleuCounts:
    """Count matches and lengths for BLEU, a row a picture; raises as `corpus_bleu` does."""
    matches = np.zeros((len(hypotheses), max_order), np.int64)
    hypothesis_lengths = np.zeros(len(hypotheses), np.int64)
    reference_lengths = np.zeros(len(hypotheses), np.int64)
    for row, (hypothesis, own_references) in enumerate(_aligned(hypotheses, references)):
        most: NGrams = Counter()
        for reference in own_references:
            most |= count_ngrams(reference, max_order)
        for ngram, count in count_ngrams(hypothesis, max_order).items():
            matches[row, len(ngram) - 1] += min(count, most[ngram])
        length = len(hypothesis)
        hypothesis_lengths[row] = length
        reference_lengths[row] = min(
            (len(reference) for reference in own_references), key=lambda other: (abs(other - length), other)
        )
    guesses = np.maximum(hypothesis_lengths[:, None] - np.arange(max_order), 0)
    return BleuCounts(matches, guesses, hypothesis_lengths, reference_lengths)


def corpus_bleu(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]], max_order: int = 4
) -> list[float]:
    """Return BLEU-1 to BLEU-``max_order`` at corpus level (Papineni et al., 2002).

    Raises:
        ScoringError: the sequences are not aligned, or a picture has no reference.
    """
    counts = bleu_counts(hypotheses, references, max_order)
    return [float(score) for score in counts.weighted(np.ones(len(hypotheses), np.int64)).scores()]


def rouge_l(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> tuple[float, NDArray[np.float64]]:
    """Return the mean ROUGE-L, and each picture's, float64 ``[N]`` (Lin, 2004, section 3).

    As in the toolkit, the F-measure (beta 1.2) takes the best precision and the best recall over the
    references independently, and an empty caption counts as one empty word.

    Raises:
        ScoringError: the sequences are not aligned, or a picture has no reference.
    """
    scores = np.zeros(len(hypotheses))
    for row, (hypothesis, own_references) in enumerate(_aligned(hypotheses, references)):
        words = hypothesis or ("",)
        others = [reference or ("",) for reference in own_references]
        common = [_longest_common_subsequence(words, other) for other in others]
        precision = max(common) / len(words)
        recall = max(length / len(other) for length, other in zip(common, others, strict=True))
        if precision and recall:
            weight = _ROUGE_BETA**2
            scores[row] = (1 + weight) * precision * recall / (recall + weight * precision)
    return float(scores.mean()), scores


def _longest_common_subsequence(words: Tokens, others: Tokens) -> int:
    """Return its length, a bit a word (Hyyrö, 2004, "Bit-parallel LCS-length computation revisited")."""
    positions: dict[str, int] = {}
    for position, word in enumerate(words):
        positions[word] = positions.get(word, 0) | 1 << position
    all_words = (1 << len(words)) - 1
    unused = all_words
    for other in others:
        matched = unused & positions.get(other, 0)
        unused = (unused + matched) | (unused - matched)
    return len(words) - bin(unused & all_words).count("1")


class CiderD:
    """CIDEr-D against fixed references (Vedantam et al., 2015, sections 3 and 4).

    The references, and in how many pictures' references each n-gram occurs, are counted once, so that
    many hypotheses can be scored, as when the score is a reward in training.

    Args:
        references: sequences of token lists, one sequence a picture.

    Raises:
        ScoringError: there are no pictures, or one has no reference.
    """

    def __init__(self, references: Sequence[Sequence[Tokens]]) -> None:
        _check_references(references)
        counted = [[count_ngrams(reference, _CIDER_ORDERS) for reference in own] for own in references]
        document_frequency = Counter(ngram for own in counted for ngram in set().union(*own))
        self._unseen = math.log(len(counted))
        self._rarity = {ngram: self._unseen - math.log(count) for ngram, count in document_frequency.items()}
        self._references = [
            [(ngrams, self._norms(ngrams), len(reference)) for ngrams, reference in zip(*both, strict=True)]
            for both in zip(counted, references, strict=True)
        ]

    def score(
        self, hypotheses: Sequence[Tokens], pictures: Sequence[int] | None = None
    ) -> NDArray[np.float64]:
        """Return the score of each hypothesis, 0 to 10, float64 ``[N]``; their mean is the corpus' score.

        Args:
            hypotheses: token lists.
            pictures: for each hypothesis, which entry of the references is its picture's; may repeat.
                Without it, there is one hypothesis for each picture, in the same order.

        Raises:
            ScoringError: there is not one picture for each hypothesis.
        """
        rows = range(len(self._references)) if pictures is None else pictures
        _check_counts(len(hypotheses), len(rows))
        return np.array([self._score_one(*pair) for pair in zip(hypotheses, rows, strict=True)], np.float64)

    def _score_one(self, hypothesis: Tokens, picture: int) -> float:
        ngrams = count_ngrams(hypothesis, _CIDER_ORDERS)
        norms = self._norms(ngrams)
        references = self._references[picture]
        total = 0.0
        for reference, reference_norms, length in references:
            products = [0.0] * _CIDER_ORDERS
            for ngram, count in ngrams.items():
                if ngram in reference:
                    clipped = min(count, reference[ngram])
                    products[len(ngram) - 1] += clipped * reference[ngram] * self._rarity[ngram] ** 2
            both = zip(products, norms, reference_norms, strict=True)
            similarity = sum(product / (own * other) for product, own, other in both if own and other)
            total += similarity * math.exp(-((len(hypothesis) - length) ** 2) / (2 * _CIDER_SIGMA**2))
        return 10 * total / (_CIDER_ORDERS * len(references))

    def _norms(self, ngrams: NGrams) -> list[float]:
        squares = [0.0] * _CIDER_ORDERS
        for ngram, count in ngrams.items():
            squares[len(ngram) - 1] += (count * self._rarity.get(ngram, self._unseen)) ** 2
        return [math.sqrt(square) for square in squares]


def cider_d(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> tuple[float, NDArray[np.float64]]:
    """Return the mean CIDEr-D, and each picture's, float64 ``[N]``; see `CiderD`.

    One picture alone scores 0: every n-gram of its references is then as common as can be.

    Raises:
        ScoringError: the sequences are not aligned, or a picture has no reference.
    """
    scores = CiderD(references).score(hypotheses)
    return float(scores.mean()), scores


def _aligned(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> Iterator[tuple[Tokens, Sequence[Tokens]]]:
    _check_references(references)
    _check_counts(len(hypotheses), len(references))
    return zip(hypotheses, references, strict=True)


def _check_counts(hypotheses: int, pictures: int) -> None:
    if hypotheses != pictures:
        raise ScoringError(f"{hypotheses} hypotheses for {pictures} pictures. Give one hypothesis for each.")


def _check_references(references: Sequence[Sequence[Tokens]]) -> None:
    if not references:
        raise ScoringError("There are no pictures to score. Give references for at least one.")
    for row, own_references in enumerate(references):
        if not own_references:
            raise ScoringError(f"Picture {row} (counted from 0) has no reference. Give at least one.")
