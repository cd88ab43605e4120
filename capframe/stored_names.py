"""Names in mapped scratch files: their text, and their hashes in rising order, by which they are found."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .scratch_files import ScratchArray, moved


class StoredNames:
    """Different names, numbered from 0 in the order in which they came.

    Args:
        names: the first of them, one at least.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._text_file, self._bound_file = ScratchArray(np.uint8), ScratchArray(np.int64, [0])
        self._length = self._end = 0
        self._hashes, self._numbers = moved([], np.int64).data, moved([], np.int32).data
        self.extend(names)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> str:
        return str(self._texts[self._bounds[number] : self._bounds[number + 1]], "utf-8", "surrogatepass")

    def number(self, name: str) -> int:
        """Return the number of a name, or -1 where it is not here."""
        key = hash(name)
        place = bisect_left(self._hashes, key)
        while place < self._length and self._hashes[place] == key:
            number: int = self._numbers[place]
            if self._texts[self._bounds[number] : self._bounds[number + 1]] == _encoded(name):
                return number
            place += 1
        return -1

    def extend(self, names: Sequence[str]) -> None:
        """Add names, one at least, none of which is here."""
        contents = list(map(_encoded, names))
        bounds = self._end + np.cumsum([len(content) for content in contents], dtype=np.int64)
        self._text_file.append(np.frombuffer(b"".join(contents), np.uint8))
        self._bound_file.append(bounds)
        self._texts, self._bounds = self._text_file.mapped().data, self._bound_file.mapped().data
        hashes = np.fromiter(map(hash, names), np.int64)
        order = np.argsort(hashes)
        known = np.asarray(self._hashes)
        places = np.searchsorted(known, hashes[order])
        self._hashes = moved(np.insert(known, places, hashes[order])).data
        self._numbers = moved(np.insert(np.asarray(self._numbers), places, self._length + order)).data
        self._length, self._end = self._length + len(contents), int(bounds[-1])

    def in_order(self) -> NDArray[np.int64]:
        """Return the numbers of all names, as `sorted` orders these, int64 ``[N]``."""
        import pyarrow as pa
        import pyarrow.compute

        # Bytes of UTF-8 have the order of the characters that they stand for.
        content = [None, pa.py_buffer(self._bounds), pa.py_buffer(self._texts)]
        texts = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(self), content)
        order: NDArray[np.int64] = pyarrow.compute.array_sort_indices(texts).to_numpy().astype(np.int64)
        return order


def _encoded(name: str) -> bytes:
    # Names that no file can hold are for the reader of the file to refuse.
    return name.encode("utf-8", "surrogatepass")
