"""Words <-> ids, and the padded arrays that a decoder is trained on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError, VocabularyError
from .scratch_files import ScratchArray, pieces

PAD, UNK, START, END = range(4)
SPECIAL_WORDS = ("<pad>", "<unk>", "<start>", "<end>")

_ENCODED_AT_ONCE = 5_000

RaggedTokens: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Token lists of many captions in two arrays: ``tokens`` int32 ``[total]`` end to end, and ``offsets``
int64 ``[N + 1]``: caption i is ``tokens[offsets[i]:offsets[i + 1]]``."""


class Vocabulary:
    """The words that a captioner knows. A word's id is its place in `words`.

    Ids 0 to 3 are ``<pad>``, ``<unk>``, ``<start>`` and ``<end>``; they come first by themselves.

    Args:
        words: the words in the order of their ids; special words among them are passed over, so that
            ``Vocabulary(vocabulary.words)`` equals ``vocabulary``.

    Raises:
        VocabularyError: a word is empty, holds white space, or comes twice.
    """

    def __init__(self, words: Iterable[str]) -> None:
        ordinary = [word for word in words if word not in SPECIAL_WORDS]
        self._words = (*SPECIAL_WORDS, *ordinary)
        self._ids = {word: number for number, word in enumerate(self._words)}
        for number, word in enumerate(self._words):
            if word.split() != [word]:
                raise VocabularyError(f"{word!r} is not a word: words are not empty and hold no white space.")
            if self._ids[word] != number:
                raise VocabularyError(f"The word {word!r} comes twice in the vocabulary. Remove one of them.")
        # A caption that spells out "<pad>" or "<end>" must not break padding or end early.
        self._caption_ids = {word: self._ids[word] for word in ordinary}

    @classmethod
    def build(cls, captions: Iterable[str], min_count: int = 5) -> Vocabulary:
        """Collect the words that occur at least ``min_count`` times, by falling count, ties by alphabet.

        Args:
            captions: clean captions; words are what white space separates.
            min_count: how often a word must occur; rarer ones are read as ``<unk>``.

        Raises:
            UsageError: ``min_count`` is below 1.
            VocabularyError: no word occurs that often.
        """
        if min_count < 1:
            raise UsageError(f"min_count must be at least 1, not {min_count}.")
        counts = Counter(chain.from_iterable(caption.split() for caption in captions))
        for word in SPECIAL_WORDS:
            counts.pop(word, None)
        if not counts:
            raise VocabularyError("The captions hold no words. Check the caption file and the text cleaners.")
        words = [word for word, count in counts.items() if count >= min_count]
        if not words:
            most = max(counts.values())
            raise VocabularyError(
                f"No word occurs {min_count} times; the most frequent one occurs {most} times. "
                f"Lower min_count to {most} or less, or add captions."
            )
        return cls(sorted(words, key=lambda word: (-counts[word], word)))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read a vocabulary file: UTF-8, a word a line; the first line has id 0.

        Raises:
            VocabularyError: the file cannot be read or is not a vocabulary; cites file and line.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
        except OSError as error:
            raise VocabularyError(f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise VocabularyError(f"{path} is not UTF-8 text. Restore the file that was written.") from None
        words = lines[:-1] if lines[-1] == "" else lines
        first_lines: dict[str, int] = {}
        for line, word in enumerate(words, start=1):
            if word.split() != [word]:
                raise VocabularyError(f"{path}, line {line}: expected one word but found {word!r}.")
            if word in first_lines:
                raise VocabularyError(
                    f"{path}, line {line}: {word!r} stands in line {first_lines[word]} too."
                )
            first_lines[word] = line
        for line, special in enumerate(SPECIAL_WORDS, start=1):
            if first_lines.get(special) != line:
                raise VocabularyError(
                    f"{path}, line {line}: expected {special!r}; is this a vocabulary file?"
                )
        return cls(words)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary, a word a line; the file is complete or not there at all."""
        path = Path(path)
        aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with aside.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{word}\n" for word in self._words)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    @property
    def words(self) -> tuple[str, ...]:
        """All words in the order of their ids, the special ones first."""
        return self._words

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def __eq__(self, other: object) -> bool:
        return self._words == other._words if isinstance(other, Vocabulary) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._words)

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self)} words>"

    def encode(self, caption: str) -> list[int]:
        """Return the ids of a clean caption's words, without ``<start>`` and ``<end>``.

        Words that are not known, and special words spelled out in a caption, become ``<unk>``.
        """
        return [self._caption_ids.get(word, UNK) for word in caption.split()]

    def encode_all(self, captions: Iterable[str]) -> RaggedTokens:
        """Encode N captions into two arrays, see `RaggedTokens`."""
        get, total = self._caption_ids.get, 0
        tokens, offsets = ScratchArray(np.int32), ScratchArray(np.int64, [0])
        # Words of millions of captions are not held at once, nor their ids in memory of its own.
        for piece in pieces(captions, _ENCODED_AT_ONCE):
            word_lists = [caption.split() for caption in piece]
            ends = total + np.cumsum([len(words) for words in word_lists])
            ids = (get(word, UNK) for word in chain.from_iterable(word_lists))
            tokens.append(np.fromiter(ids, np.int32, count=int(ends[-1]) - total))
            offsets.append(ends)
            total = int(ends[-1])
        return tokens.mapped(), offsets.mapped()

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words of ``ids`` up to ``<end>``, without ``<pad>`` and ``<start>``.

        Raises:
            VocabularyError: an id is not in the vocabulary.
        """
        words = []
        for number in ids:
            if number == END:
                break
            if not 0 <= number < len(self):
                raise VocabularyError(f"No word has the id {number}: the vocabulary has {len(self)} words.")
            if number not in (PAD, START):
                words.append(self._words[number])
        return " ".join(words)


def teacher_forcing(
    captions: Sequence[Sequence[int]] | RaggedTokens,
    max_words: int,
    chosen: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Lay out N captions for teacher forcing: at each position the word before goes in, the next is due.

    A caption of n words has the inputs ``<start> w1 .. wn`` and the targets ``w1 .. wn <end>``, padded
    with 0 at the end to T = ``max_words`` + 1 positions. A longer caption is cut off after T positions:
    its last target is the true next word, so that no false ``<end>`` is taught.

    Args:
        captions: a list of token lists, or the two arrays of `Vocabulary.encode_all`.
        max_words: how many words of a caption are read, at least 1.
        chosen: numbers of the captions to lay out, int64 ``[N]``; default all of them.

    Returns:
        Inputs int32 ``[N, T]`` and targets int32 ``[N, T]``.

    Raises:
        UsageError: ``max_words`` is below 1.
    """
    if max_words < 1:
        raise UsageError(f"max_words must be at least 1, not {max_words}.")
    tokens, offsets = _ragged(captions)
    starts, ends = offsets[:-1, None], offsets[1:, None]
    if chosen is not None:
        starts, ends = starts[chosen], ends[chosen]
    lengths = ends - starts
    positions = np.arange(max_words + 1)
    is_word = positions < lengths
    targets = np.zeros(is_word.shape, np.int32)
    targets[is_word] = tokens[(starts + positions)[is_word]]
    inputs = np.zeros_like(targets)
    inputs[:, 0] = START
    inputs[:, 1:] = targets[:, :-1]
    targets[positions == lengths] = END
    return inputs, targets


def _ragged(captions: Sequence[Sequence[int]] | RaggedTokens) -> RaggedTokens:
    if isinstance(captions, tuple) and len(captions) == 2 and isinstance(captions[0], np.ndarray):
        return captions
    offsets = np.zeros(len(captions) + 1, np.int64)
    np.cumsum([len(caption) for caption in captions], out=offsets[1:])
    return np.fromiter(chain.from_iterable(captions), np.int32, count=int(offsets[-1])), offsets
