"""Teacher-forced batches: pictures with all their captions."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .scratch_files import ScratchArray, pieces
from .vocabulary import Vocabulary, teacher_forcing

Ids = NDArray[np.int32]
Positions = NDArray[np.int64]

_COUNTED_AT_ONCE = 5_000


class Batch(NamedTuple):
    """One batch: P pictures with all their C captions of at most T - 1 words.

    Attributes:
        features: float32 ``[P, *feature_shape]``.
        pictures: int32 ``[C]``: which of the P pictures each caption describes; short captions first.
        inputs: int32 ``[C, T]``: ``<start>`` and the words.
        targets: int32 ``[C, T]``: the words and ``<end>``.
    """

    features: NDArray[np.float32]
    pictures: Ids
    inputs: Ids
    targets: Ids


class CaptionBatches:
    """Cuts pictures and their captions into batches; nothing is lost and nothing comes twice.

    Args:
        captions: one sequence of clean captions for each picture.
        vocabulary: maps their words to ids.
        features: maps the numbers of pictures, int64 ``[P]``, to features ``[P, *feature_shape]``. View v of
            picture p, of N, has the number p + v * N.
        batch_size: pictures in a batch.
        max_words: longer captions are cut there.
        seed: of the shuffling and of the views.
        views: how many views of each picture there are, the picture itself counted; in each epoch one of them
            is learnt from. In order, the pictures themselves are taken.
    """

    def __init__(
        self,
        captions: Collection[Sequence[str]],
        vocabulary: Vocabulary,
        features: Callable[[Positions], NDArray[np.float32]],
        *,
        batch_size: int = 32,
        max_words: int = 40,
        seed: int = 0,
        views: int = 1,
    ) -> None:
        self.views = views
        self.features = features
        self.batch_size, self.max_words, self.seed = batch_size, max_words, seed
        self._tokens = vocabulary.encode_all(caption for group in captions for caption in group)
        first, total = ScratchArray(np.int64, [0]), 0
        for counts in pieces(map(len, captions), _COUNTED_AT_ONCE):
            first.append(total + np.cumsum(counts))
            total += sum(counts)
        self._first = first.mapped()

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil((len(self._first) - 1) / self.batch_size)

    def epoch(self, number: int | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch: shuffled by seed and epoch number, or in order for None."""
        order, seen = epoch_order(len(self._first) - 1, self.views, self.seed, number)
        for start in range(0, len(order), self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield self._batch(order[rows], seen[rows])

    def _batch(self, pictures: Positions, seen: Positions) -> Batch:
        counts = self._first[pictures + 1] - self._first[pictures]
        rows = np.repeat(np.arange(len(pictures), dtype=np.int32), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        captions = self._first[pictures][rows] + within
        # Shortest first, so that the steps can cut groups of like length out of a batch.
        lengths = self._tokens[1][captions + 1] - self._tokens[1][captions]
        order = np.argsort(lengths, kind="stable")
        rows, captions = rows[order], captions[order]
        longest = min(int(lengths.max(initial=1)), self.max_words)
        inputs, targets = teacher_forcing(self._tokens, max(longest, 1), captions)
        return Batch(self.features(seen), rows, inputs, targets)


def epoch_order(pictures: int, views: int, seed: int, number: int | None) -> tuple[Positions, Positions]:
    """Return the pictures of one epoch in order, and which view of each is learnt from, int64 ``[P]`` both.

    View v of picture p has the number p + v * P. Without the ``number`` of an epoch the pictures come in
    order, and as they are.
    """
    order = np.arange(pictures)
    if number is None:
        return order, order
    random = np.random.default_rng([seed, number])
    random.shuffle(order)
    return order, order + pictures * random.integers(0, views, pictures) if views > 1 else order
