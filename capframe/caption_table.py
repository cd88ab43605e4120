"""Captions of any number of pictures, as a mapping whose texts lie in mapped files."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import islice
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_READ_AT_ONCE = 1000


class CaptionTable(Mapping[str, tuple[str, ...]]):
    """Picture name -> its captions, in the order of the pictures; equal to a dict of the same content.

    The texts, and where each starts, are kept in scratch files that are mapped into memory and vanish with
    the process: only the names take memory of its own.

    Args:
        rows: pictures and captions of theirs. Those of a picture need not follow each other, and a picture
            may come with none.
    """

    def __init__(self, rows: Iterable[tuple[str, Iterable[str]]]) -> None:
        self._numbers: dict[str, int] = {}
        pictures, lengths = array("i"), array("i")
        with tempfile.TemporaryFile() as file:
            for name, texts in rows:
                number = self._numbers.setdefault(name, len(self._numbers))
                for text in texts:
                    # Texts that no file can hold are for the reader of the file to refuse.
                    content = text.encode("utf-8", "surrogatepass")
                    file.write(content)
                    lengths.append(len(content))
                    pictures.append(number)
            self._texts = mapped(file, np.uint8).data
        owners, sizes = np.asarray(pictures), np.asarray(lengths)
        ends = np.cumsum(sizes, dtype=np.int64)
        in_order = bool((owners[1:] >= owners[:-1]).all())
        order = slice(None) if in_order else np.argsort(owners, kind="stable")
        self._starts = _moved((ends - sizes)[order])
        self._ends = _moved(ends[order])
        counts = np.bincount(owners, minlength=len(self._numbers))
        self._first = _moved(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    def __getitem__(self, name: str) -> tuple[str, ...]:
        number = self._numbers[name]
        return self._captions(int(self._first[number]), int(self._first[number + 1]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def __repr__(self) -> str:
        return f"<captions of {len(self)} pictures>"

    def __reduce__(self) -> tuple[Any, ...]:
        return CaptionTable, (list(self.items()),)

    def renamed(self, names: Mapping[str, str]) -> CaptionTable:
        """Return the pictures that ``names`` has, under the names it gives; texts are not copied."""
        other = CaptionTable.__new__(CaptionTable)
        other.__dict__.update(self.__dict__)
        other._numbers = {names[old]: number for old, number in self._numbers.items() if old in names}
        return other

    def items(self) -> ItemsView[str, tuple[str, ...]]:
        """Return names with captions, which are read in the order in which they lie."""
        return _Items(self)

    def values(self) -> ValuesView[tuple[str, ...]]:
        """Return the captions of each picture, see `items`."""
        return _Values(self)

    def rows(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield names with captions."""
        names = iter(self._numbers.items())
        while piece := dict(islice(names, _READ_AT_ONCE)):
            numbers = np.fromiter(piece.values(), np.int64, len(piece))
            first, last = self._first[numbers], self._first[numbers + 1]
            start = int(first[0])
            texts = self._captions(start, int(last[-1]))
            spans = zip(piece, (first - start).tolist(), (last - start).tolist(), strict=True)
            yield from ((name, texts[begin:end]) for name, begin, end in spans)

    def _captions(self, first: int, last: int) -> tuple[str, ...]:
        texts, starts = self._texts, self._starts[first:last].tolist()
        spans = zip(starts, self._ends[first:last].tolist(), strict=True)
        return tuple([str(texts[start:end], "utf-8", "surrogatepass") for start, end in spans])


class _Items(ItemsView[str, tuple[str, ...]]):
    _mapping: CaptionTable

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        return self._mapping.rows()


class _Values(ValuesView[tuple[str, ...]]):
    _mapping: CaptionTable

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return (texts for _, texts in self._mapping.rows())


def mapped(file: IO[bytes], dtype: DTypeLike) -> NDArray[Any]:
    """Return what was written to a scratch file as an array ``[N]`` that is mapped, and outlives ``file``."""
    file.flush()
    return np.asarray(np.memmap(file, dtype, mode="r")) if file.tell() else np.empty(0, dtype)


def _moved(values: NDArray[Any]) -> NDArray[Any]:
    with tempfile.TemporaryFile() as file:
        file.write(np.ascontiguousarray(values).data)
        return mapped(file, values.dtype)
