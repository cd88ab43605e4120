"""FeatureStore: the features of many pictures on disk.

A store is a folder of Arrow IPC files, the parts. Each has the columns ``image`` and ``features`` and
says in its schema what made it. A part appears whole under its name and is never changed, so any
number of processes may add parts, and one that is killed breaks nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FeatureStoreError
from .feature_parts import PATTERN, FeatureSource, StorageDtype, read_part, remove_leftovers, write_part
from .name_table import NameTable

__all__ = ["FeatureSource", "FeatureStore"]


class FeatureStore:
    """The features of many pictures, found by name and read without loading the store.

    Args:
        path: folder of an existing store.

    Raises:
        FeatureStoreError: there is no store, or one of its parts is broken or of another source.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._names = NameTable()
        # Rows whose picture an earlier row has, each less the number of such rows before it.
        self._repeated = np.empty(0, np.int64)
        self._files: set[Path] = set()
        self._parts: list[NDArray[Any]] = []
        self._starts: list[int] = [0]
        files = sorted(self.path.glob(PATTERN))
        if not files:
            raise FeatureStoreError(
                f"There is no feature store in '{self.path}'; fill one with "
                f"'capframe extract --images FOLDER --out {self.path}'."
            )
        first = read_part(files[0])
        self.source, self.dtype = first.source, first.dtype
        self.refresh()

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], source: FeatureSource, dtype: StorageDtype = "float32"
    ) -> FeatureStore:
        """Open the store in ``path``, or make an empty one, to write into it.

        What writers that were killed left there is removed, see `remove_leftovers`.

        Args:
            path: its folder.
            source: what will make the features.
            dtype: numbers in the files of a new store; float16 halves them, at 3 significant digits.

        Raises:
            FeatureStoreError: the store was filled by another source, or is broken.
        """
        folder = Path(path)
        remove_leftovers(folder)
        if not cls.exists(folder):
            write_part(folder, source, [], np.empty((0, *source.feature_shape), dtype))
        store = cls(folder)
        store.check_source(source)
        return store

    @staticmethod
    def exists(path: str | os.PathLike[str]) -> bool:
        """Whether there is a feature store in ``path``, be it empty."""
        return any(Path(path).glob(PATTERN))

    def check_source(self, source: FeatureSource) -> None:
        """Refuse features that another extractor, other options or other weights made.

        Raises:
            FeatureStoreError: ``source`` is not what filled this store; the message names both.
        """
        if not self.source.gives_same_as(source):
            raise FeatureStoreError(
                f"The feature store '{self.path}' was filled by {self.source}, and this is {source}: give "
                "another folder, or the extractor, options and weights it was filled with."
            )

    @property
    def names(self) -> list[str]:
        """Names of the pictures, in the order in which they were stored."""
        return list(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    @property
    def part_files(self) -> list[Path]:
        """Files of the parts that this object knows, the oldest first."""
        return sorted(self._files)

    def refresh(self) -> None:
        """Look for parts that other processes have added since this object was made.

        Raises:
            FeatureStoreError: one of them is broken or of another source.
        """
        for file in sorted(set(self.path.glob(PATTERN)) - self._files):
            self._append(file)

    def rows(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield name and features of each picture, as they are stored and in the order of `names`.

        The features are a view of the mapped file: float32 or float16 ``[*feature_shape]``.
        """
        for number, name in enumerate(self._names):
            position = int(self._positions(np.asarray(number)))
            holder = int(np.searchsorted(self._starts, position, side="right")) - 1
            yield name, self._parts[holder][position - self._starts[holder]]

    def add(self, names: Sequence[str], features: NDArray[np.floating[Any]]) -> None:
        """Write one part, whole and synced before it is seen.

        Args:
            names: names of the pictures, none of which is stored yet.
            features: ``[N, *feature_shape]``.

        Raises:
            FeatureStoreError: the shape does not fit, a name is not new, or a feature is not finite.
        """
        if features.shape != (len(names), *self.source.feature_shape):
            raise FeatureStoreError(
                f"The features of {len(names)} pictures must be an array "
                f"{[len(names), *self.source.feature_shape]}, not {list(features.shape)}."
            )
        if len(set(names)) != len(names) or any(name in self._names for name in names):
            raise FeatureStoreError(f"Some of these pictures are stored already, or twice: {_some(names)}.")
        if not names:
            return
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray(features, self.dtype)
        finite = np.isfinite(numbers).reshape(len(names), -1).all(axis=1)
        if not finite.all():
            raise FeatureStoreError(
                f"The features of '{names[int(np.argmin(finite))]}' are not finite as {self.dtype}: look at "
                "the extractor's weights, or fill a new store with float32 (capframe extract --dtype "
                "float32)."
            )
        self._append(write_part(self.path, self.source, names, numbers))

    def positions(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Look names up: int64 ``[N]`` for `gather_positions`, valid as long as this object lives.

        Raises:
            FeatureStoreError: pictures are missing; the message names the first five.
        """
        missing: dict[str, None] = {}

        def number(name: str) -> int:
            found = self._names.number(name)
            if found < 0:
                missing[name] = None
            return found

        numbers = np.fromiter(map(number, names), np.int64)
        if missing:
            raise FeatureStoreError(
                f"The feature store '{self.path}' has no features of {len(missing)} pictures "
                f"({_some([*missing])}); add them with 'capframe extract --images FOLDER --out {self.path}'."
            )
        return self._positions(numbers)

    def gather(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return the features of the named pictures, float32 ``[N, *feature_shape]``; see `positions`."""
        return self.gather_positions(self.positions(names))

    def gather_positions(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features at ``positions`` int64 ``[N]``, float32 ``[N, *feature_shape]``."""
        return self.gather_stored(positions).astype(np.float32, copy=False)

    def gather_stored(self, positions: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """Return the features at ``positions`` int64 ``[N]`` as they are stored, float32 or float16."""
        gathered = np.empty((len(positions), *self.source.feature_shape), self.dtype)
        holders = np.searchsorted(self._starts, positions, side="right") - 1
        for part in np.unique(holders):
            rows = np.flatnonzero(holders == part)
            gathered[rows] = self._parts[part][positions[rows] - self._starts[part]]
        return gathered

    def _append(self, file: Path) -> None:
        part = read_part(file)
        self._files.add(file)
        if not self.source.gives_same_as(part.source):
            raise FeatureStoreError(
                f"'{file}' holds features by {part.source}, and the parts before it by {self.source}: "
                "move it to a folder of its own."
            )
        if part.names:
            # Of a picture that two processes have extracted, the first part counts.
            before = len(self._names)
            new = np.diff(np.maximum.accumulate([before - 1, *self._names.extend(part.names)])) > 0
            repeated = self._starts[-1] + np.flatnonzero(~new)
            earlier = len(self._repeated) + np.arange(len(repeated))
            self._repeated = np.concatenate([self._repeated, repeated - earlier])
            self._parts.append(part.features)
            self._starts.append(self._starts[-1] + len(part.names))

    def _positions(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return in which row the picture of each number is stored first, int64 ``[N]``."""
        return numbers + np.searchsorted(self._repeated, numbers, side="right")


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (", ..." if len(names) > 5 else "")
