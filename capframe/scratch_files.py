"""Arrays in scratch files, which are mapped into memory and vanish with the process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .errors import CapframeError

Item = TypeVar("Item")


class ScratchArray:
    """Numbers that are appended to each other in a scratch file.

    Args:
        dtype: of the numbers.
        values: the first of them.

    Raises:
        CapframeError: the folder for scratch files is full, or cannot be written to.
    """

    def __init__(self, dtype: DTypeLike, values: ArrayLike = ()) -> None:
        self._dtype = np.dtype(dtype)
        self._begin(np.asarray(values))

    def __del__(self) -> None:
        if file := getattr(self, "_file", None):
            with suppress(OSError):
                file.close()

    def append(self, values: ArrayLike) -> None:
        """Write one-dimensional ``values`` behind those that are there.

        Raises:
            CapframeError: as of the constructor.
        """
        if os.getpid() != self._process:
            # Since a fork, two processes have one file, and one place in it that both would move.
            self._begin(self.mapped())
        self._write(np.asarray(values))

    def mapped(self) -> NDArray[Any]:
        """Return what there is as a mapped array ``[N]``, which outlives this object."""
        if not self._length:
            return np.empty(0, self._dtype)
        return np.asarray(np.memmap(self._file, self._dtype, mode="r", shape=(self._length,)))

    def _begin(self, values: NDArray[Any]) -> None:
        self._process, self._length = os.getpid(), 0
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nothing refers to this any more
        except OSError as error:
            raise _unwritable(error) from error
        self._write(values)

    def _write(self, values: NDArray[Any]) -> None:
        try:
            self._file.write(np.ascontiguousarray(values, self._dtype).data)
            # Nothing may wait in a buffer, of which a fork would make two.
            self._file.flush()
        except OSError as error:
            raise _unwritable(error) from error
        self._length += len(values)


def _unwritable(error: OSError) -> CapframeError:
    return CapframeError(
        f"Cannot write a scratch file in '{tempfile.gettempdir()}' ({error}): make room there, or name "
        "another folder in the environment variable TMPDIR."
    )


def moved(values: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Return the same numbers ``[N]``, of ``dtype`` or their own, in a scratch file."""
    numbers = np.asarray(values)
    return ScratchArray(numbers.dtype if dtype is None else dtype, numbers).mapped()


def pieces(items: Iterable[Item], length: int) -> Iterator[list[Item]]:
    """Yield the items in lists of ``length``; the last may be shorter."""
    remaining = iter(items)
    while piece := list(islice(remaining, length)):
        yield piece
