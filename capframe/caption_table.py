"""Captions of any number of pictures, as a mapping that lies in mapped files."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .name_table import NameTable
from .scratch_files import ScratchArray, moved, pieces

_READ_AT_ONCE = 1000


class CaptionTable(Mapping[str, tuple[str, ...]]):
    """Picture name -> its captions, in the order of the pictures; equal to a dict of the same content.

    Names, texts, and where each text starts, are kept in scratch files that are mapped into memory and vanish
    with the process.

    Args:
        rows: pictures and captions of theirs. Those of a picture need not follow each other, and a picture
            may come with none.

    Attributes:
        names: of the pictures.
    """

    def __init__(self, rows: Iterable[tuple[str, Iterable[str]]]) -> None:
        self.names = NameTable()
        texts, bounds, owners = ScratchArray(np.uint8), ScratchArray(np.int64, [0]), ScratchArray(np.int32)
        total = 0
        for piece in pieces(rows, _READ_AT_ONCE):
            pictures = self.names.extend(name for name, _ in piece)
            # Texts that no file can hold are for the reader of the file to refuse.
            contents = [[text.encode("utf-8", "surrogatepass") for text in own] for _, own in piece]
            lengths = [len(content) for own in contents for content in own]
            texts.append(np.frombuffer(b"".join(chain.from_iterable(contents)), np.uint8))
            bounds.append(total + np.cumsum(lengths, dtype=np.int64))
            owners.append(np.repeat(pictures, [len(own) for own in contents]))
            total += sum(lengths)
        self._texts = texts.mapped().data
        places, self._first = _grouped(owners.mapped(), len(self.names))
        ends = bounds.mapped()
        self._starts = ends[:-1] if places is None else moved(ends[:-1][places])
        self._ends = ends[1:] if places is None else moved(ends[1:][places])
        self._rows: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, captions: Mapping[str, Iterable[str]]) -> CaptionTable:
        """Return the table of a mapping, which may be one already."""
        return captions if isinstance(captions, cls) else cls(captions.items())

    def __getitem__(self, name: str) -> tuple[str, ...]:
        number = self.names.number(name)
        if number < 0:
            raise KeyError(name)
        row = number if self._rows is None else self._rows[number]
        return self._captions(int(self._first[row]), int(self._first[row + 1]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        return f"<captions of {len(self)} pictures>"

    def __reduce__(self) -> tuple[Any, ...]:
        return CaptionTable, (list(self.items()),)

    def chosen(self, numbers: NDArray[np.int64], names: NameTable) -> CaptionTable:
        """Return the pictures that have ``numbers`` under other names; texts are not copied."""
        other = CaptionTable.__new__(CaptionTable)
        other.__dict__.update(self.__dict__)
        other.names, other._rows = names, moved(numbers if self._rows is None else self._rows[numbers])
        return other

    def items(self) -> ItemsView[str, tuple[str, ...]]:
        """Return names with captions, which are read in the order in which they lie."""
        return _Items(self)

    def values(self) -> ValuesView[tuple[str, ...]]:
        """Return the captions of each picture, see `items`."""
        return _Values(self)

    def rows(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield names with captions."""
        for number, piece in enumerate(pieces(self.names, _READ_AT_ONCE)):
            rows = np.arange(number * _READ_AT_ONCE, number * _READ_AT_ONCE + len(piece))
            rows = rows if self._rows is None else self._rows[rows]
            first, last = self._first[rows], self._first[rows + 1]
            start = int(first.min())
            texts = self._captions(start, int(last.max()))
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


def _grouped(owners: NDArray[np.int32], pictures: int) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Sort captions by picture.

    Args:
        owners: picture of each caption, ``[C]``.
        pictures: how many there are.

    Returns:
        Where the captions of the first picture stand, of the second, and so on, int64 ``[C]``, or None where
        they are in order; and with how many of them each picture begins, int64 ``[pictures + 1]``.
    """
    in_order = bool((owners[1:] >= owners[:-1]).all())
    first = np.zeros(pictures + 1, np.int64)
    np.add.at(first[1:], owners, 1)
    return None if in_order else np.argsort(owners, kind="stable"), moved(np.cumsum(first, out=first))
