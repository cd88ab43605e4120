"""Arrays in scratch files, which are mapped into memory and vanish with the process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Item = TypeVar("Item")


class ScratchArray:
    """Numbers that are appended to each other in a scratch file.

    Args:
        dtype: of the numbers.
        values: the first of them.
    """

    def __init__(self, dtype: DTypeLike, values: ArrayLike = ()) -> None:
        self._dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nothing refers to this any more
        self.append(values)

    def __del__(self) -> None:
        if file := getattr(self, "_file", None):
            file.close()

    def append(self, values: ArrayLike) -> None:
        """Write one-dimensional ``values`` behind those that are there."""
        self._file.write(np.ascontiguousarray(values, self._dtype).data)

    def mapped(self) -> NDArray[Any]:
        """Return what there is as a mapped array ``[N]``, which outlives this object."""
        self._file.flush()
        if not self._file.tell():
            return np.empty(0, self._dtype)
        return np.asarray(np.memmap(self._file, self._dtype, mode="r"))


def moved(values: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Return the same numbers ``[N]``, of ``dtype`` or their own, in a scratch file."""
    numbers = np.asarray(values)
    return ScratchArray(numbers.dtype if dtype is None else dtype, numbers).mapped()


def pieces(items: Iterable[Item], length: int) -> Iterator[list[Item]]:
    """Yield the items in lists of ``length``; the last may be shorter."""
    remaining = iter(items)
    while piece := list(islice(remaining, length)):
        yield piece
