"""Picture names, any number of them: found as in a dict, listed as in a tuple, and not held in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import eq
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .scratch_files import moved
from .stored_names import StoredNames

Numbers = NDArray[np.int64]
Value = TypeVar("Value")

_MOST_IN_MEMORY = 20_000
_AT_ONCE = 5_000


class NameTable(Collection[str]):
    """Different names, numbered from 0 in the order in which they came.

    The latest are in a dict, where they are found at once; when they are many, they move to `StoredNames`.

    Args:
        names: the first names; those that come again are passed over.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._stored: StoredNames | None = None
        self._moved = 0
        self._latest: list[str] = []
        self._numbers: dict[str, int] = {}
        self.extend(names)

    def __len__(self) -> int:
        return self._moved + len(self._latest)

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def __reversed__(self) -> Iterator[str]:
        return map(self.__getitem__, reversed(range(len(self))))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.number(name) >= 0

    def __getitem__(self, number: int) -> str:
        if number < 0:
            raise IndexError(f"no name has the number {number}")
        if self._stored is None or number >= self._moved:
            return self._latest[number - self._moved]
        return self._stored[number]

    def __reduce__(self) -> tuple[Any, ...]:
        return NameTable, (list(self),)

    def number(self, name: str) -> int:
        """Return the number of a name, or -1 where it is not here."""
        number = self._numbers.get(name, -1)
        return self._stored.number(name) if number < 0 and self._stored is not None else number

    def numbers(self, names: Iterable[str]) -> Numbers:
        """Return the number of each name, int64 ``[N]``; -1 for those that are not here."""
        return np.fromiter(map(self.number, names), np.int64)

    def named(self, numbers: Numbers) -> Iterator[str]:
        """Yield the names that have ``numbers``, int64 ``[N]``."""
        for first in range(0, len(numbers), _AT_ONCE):
            yield from map(self.__getitem__, numbers[first : first + _AT_ONCE].tolist())

    def extend(self, names: Iterable[str]) -> Numbers:
        """Add the names that are new, and return the number of each, int64 ``[N]``."""
        return np.fromiter(map(self._added, names), np.int64)

    def in_order(self) -> Numbers:
        """Return the numbers of all names, as `sorted` orders these, int64 ``[N]``."""
        if self._stored is None:
            return np.asarray(sorted(range(len(self)), key=self._latest.__getitem__), np.int64)
        self._move()
        return self._stored.in_order()

    def _added(self, name: str) -> int:
        number = self.number(name)
        if number < 0:
            number = self._numbers[name] = len(self)
            self._latest.append(name)
            if len(self._latest) >= _MOST_IN_MEMORY:
                self._move()
        return number

    def _move(self) -> None:
        if self._stored is None:
            self._stored = StoredNames(self._latest)
        elif self._latest:
            self._stored.extend(self._latest)
        self._moved, self._latest, self._numbers = len(self._stored), [], {}


class ChosenNames(Sequence[str]):
    """Some names of a table in an order of their own; equal to a tuple or list of the same names.

    Args:
        names: the table, which may go on growing.
        numbers: of the names in it, int64 ``[N]``.
    """

    def __init__(self, names: NameTable, numbers: Numbers) -> None:
        self._names, self._numbers = names, moved(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return self._names.named(self._numbers)

    def __contains__(self, name: object) -> bool:
        number = self._names.number(name) if isinstance(name, str) else -1
        return number >= 0 and bool((self._numbers == number).any())

    def __getitem__(self, place: Any) -> Any:
        """Return the name at a place, or a tuple of those in a slice."""
        chosen = self._numbers[place]
        return tuple(self._names.named(chosen)) if isinstance(place, slice) else self._names[int(chosen)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (ChosenNames, tuple, list)):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __add__(self, other: Iterable[str]) -> tuple[str, ...]:
        return (*self, *other)

    def __radd__(self, other: Iterable[str]) -> tuple[str, ...]:
        return (*other, *self)

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (tuple(self),)


class NamedValues(Mapping[str, Value]):
    """Name -> what a function makes of it, each time that it is asked for.

    Args:
        names: the keys.
        value: maps each of them to its value.
    """

    def __init__(self, names: NameTable, value: Callable[[str], Value]) -> None:
        self._names, self._value = names, value

    def __getitem__(self, name: str) -> Value:
        if name not in self._names:
            raise KeyError(name)
        return self._value(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __repr__(self) -> str:
        return repr(dict(self))


def restricted(values: Mapping[str, Value], names: Iterable[str]) -> NamedValues[Value]:
    """Return those ``values`` whose names are among ``names``, in the order of the latter."""
    return NamedValues(NameTable(filter(values.__contains__, names)), values.__getitem__)
