"""CIDEr-D as a reward: of many captions of word ids, against references that are counted once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .metrics import count_ngrams
from .vocabulary import END, PAD

if TYPE_CHECKING:
    from numpy.typing import NDArray

Words: TypeAlias = Sequence[int]
NGram: TypeAlias = tuple[int, ...]
Entry: TypeAlias = tuple[int, int, float]

_ORDERS = 4
_SIGMA = 6.0


class CiderReward:
    """CIDEr-D (Vedantam et al., 2015) of captions of word ids, as `capframe.metrics.CiderD` scores them.

    ``<end>`` counts as a word of references and captions: else captions that stop in mid-sentence earn as
    much (Rennie et al., 2017, section 5).

    Args:
        references: for each picture its captions, each as word ids without ``<start>`` and ``<end>``.
        frequencies: of whose references the document frequencies are taken; by default of these.
    """

    def __init__(self, references: Iterable[Sequence[Words]], frequencies: CiderReward | None = None) -> None:
        counted = [[_count((*words, END)) for words in own] for own in references]
        if frequencies is None:
            documents = Counter(ngram for own in counted for ngram in set().union(*own))
            self._unseen = math.log(len(counted))
            self._rarity = {ngram: self._unseen - math.log(count) for ngram, count in documents.items()}
        else:
            self._unseen, self._rarity = frequencies._unseen, frequencies._rarity
        # For each picture and n-gram: which references hold it, how often, and with what weight.
        self._entries: list[dict[NGram, list[Entry]]] = []
        self._lengths: list[list[int]] = []
        for own in counted:
            entries: dict[NGram, list[Entry]] = {}
            for number, ngrams in enumerate(own):
                norms = self._norms(ngrams)
                for ngram, count in ngrams.items():
                    if norm := norms[len(ngram) - 1]:
                        weight = count * self._rarity.get(ngram, self._unseen) ** 2 / norm
                        entries.setdefault(ngram, []).append((number, count, weight))
            self._entries.append(entries)
            self._lengths.append([sum(len(ngram) == 1 for ngram in ngrams.elements()) for ngrams in own])

    def __call__(self, captions: NDArray[np.int32], pictures: Iterable[int]) -> NDArray[np.float64]:
        """Return the reward of each caption, 0 to 10, float64 ``[N]``.

        Args:
            captions: int32 ``[N, T]``: words, ``<end>`` where the caption has ended, then padding.
            pictures: for each caption, which entry of the references is its picture's; ``[N]``.
        """
        lengths = (captions != PAD).sum(axis=1).tolist()
        rows = zip(captions.tolist(), lengths, pictures, strict=True)
        return np.array([self._one(tuple(words[:length]), picture) for words, length, picture in rows])

    def _one(self, words: tuple[int, ...], picture: int) -> float:
        ngrams = _count(words)
        norms = [norm or 1.0 for norm in self._norms(ngrams)]  # where it is 0, all weights are
        entries, lengths = self._entries[picture], self._lengths[picture]
        similarities = [0.0] * len(lengths)
        for ngram, own in ngrams.items():
            for number, count, weight in entries.get(ngram, ()):
                similarities[number] += min(own, count) * weight / norms[len(ngram) - 1]
        total = sum(
            similarity * math.exp(-((len(words) - length) ** 2) / (2 * _SIGMA**2))
            for similarity, length in zip(similarities, lengths, strict=True)
        )
        return 10 * total / (_ORDERS * len(lengths))

    def _norms(self, ngrams: Counter[NGram]) -> list[float]:
        squares = [0.0] * _ORDERS
        for ngram, count in ngrams.items():
            squares[len(ngram) - 1] += (count * self._rarity.get(ngram, self._unseen)) ** 2
        return [math.sqrt(square) for square in squares]


def _count(words: tuple[Any, ...]) -> Counter[Any]:
    return count_ngrams(words, _ORDERS)  # of words as ids, which it never looks into
