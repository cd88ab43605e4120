"""Marks of picture names: hashes by which a picture is known again without its name being listed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Set

import numpy as np

from .scratch_files import moved

DIGITS = 16

_MARK = re.compile(f"[0-9a-f]{{{DIGITS}}}")


def image_mark(name: str) -> str:
    """Return a short hash of a picture's name: enough to know it again, too little to list the data."""
    return hashlib.sha256(name.encode()).hexdigest()[:DIGITS]


class ImageMarks(Set[str]):
    """The marks of many pictures in rising order, in a mapped file; equal to a set of the same marks.

    Args:
        marks: what `image_mark` gives.

    Raises:
        ValueError: one of them is no mark.
    """

    def __init__(self, marks: Iterable[str] = ()) -> None:
        numbers = np.fromiter(map(_number, marks), np.uint64)
        numbers.sort()
        repeated = np.flatnonzero(numbers[1:] == numbers[:-1])
        self._numbers = moved(np.delete(numbers, repeated) if len(repeated) else numbers)

    def __contains__(self, mark: object) -> bool:
        if not isinstance(mark, str) or not _MARK.fullmatch(mark):
            return False
        number = np.uint64(_number(mark))
        place = int(np.searchsorted(self._numbers, number))
        return place < len(self) and bool(self._numbers[place] == number)

    def __iter__(self) -> Iterator[str]:
        return (f"{number:0{DIGITS}x}" for number in map(int, self._numbers))

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        return f"<marks of {len(self)} pictures>"


def _number(mark: str) -> int:
    if not _MARK.fullmatch(mark):
        raise ValueError(f"{mark[:40]!r} is no mark of a picture")
    return int(mark, 16)
