"""Which pictures train, which are watched and which are scored: from files, or at random."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping

import numpy as np

from .errors import DatasetError, UsageError
from .image_names import first_five, match_numbers
from .name_table import ChosenNames, NameTable, Numbers
from .text_files import read_lines

PathLike = str | os.PathLike[str]


def read_split(path: PathLike) -> tuple[str, ...]:
    """Read a split file: a picture name per line, UTF-8; blank lines and outer spaces are dropped.

    Raises:
        DatasetError: the file cannot be read, is empty, or has a name twice; cites file and line.
    """
    return tuple(read_split_names(path))


def read_split_names(path: PathLike) -> NameTable:
    """Return what `read_split` does as a table."""
    names, lines = NameTable(), array("q")
    for line, name in _names_of(path):
        if name in names:
            first = lines[names.number(name)]
            raise DatasetError(f"{path}, line {line}: '{name}' is in line {first} too. Remove one.")
        names.extend([name])
        lines.append(line)
    if not len(names):
        raise DatasetError(f"{path} holds no picture names. Write one name per line.")
    return names


def _names_of(path: PathLike) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(read_lines(path, "utf-8"), start=1):
        if name := line.strip():
            yield number, name


def check_splits(
    named: Mapping[str, tuple[PathLike, NameTable]], captioned: NameTable, usable: Numbers
) -> dict[str, Numbers]:
    """Return the numbers of the usable pictures of each split.

    Args:
        named: split -> where it was read from, and the names in it, in order.
        captioned: names of all pictures that have captions, N.
        usable: number among the usable pictures of each that has captions, int64 ``[N]``; -1 where it was
            not found.

    Raises:
        DatasetError: a split names pictures without captions, or none that was found, or two overlap.
    """
    splits: dict[str, Numbers] = {}
    owners = np.full(len(captioned), -1, np.int8)
    for split, (path, pictures) in named.items():
        known = match_numbers(pictures, captioned)
        if (known < 0).any():
            unknown = ChosenNames(pictures, np.flatnonzero(known < 0))
            what = f"{path} names {len(unknown)} without captions: {first_five(unknown)}."
            raise DatasetError(f"{what} Add captions for them, or remove them from the split.")
        shared = known[owners[known] >= 0]
        if len(shared):
            other, _ = list(named.values())[owners[shared[0]]]
            what = f"{path} and {other} share {len(shared)}: {first_five(ChosenNames(captioned, shared))}."
            raise DatasetError(f"{what} Keep each picture in one split only.")
        owners[known] = len(splits)
        splits[split] = usable[known][usable[known] >= 0]
        if not len(splits[split]):
            raise DatasetError(f"{path} names no picture that was found: {first_five(pictures)}.")
    return splits


def split_at_random(names: NameTable, seed: int) -> dict[str, Numbers]:
    """Split 80 % train, 10 % dev, 10 % test, by number; fewer than three pictures are all for training.

    The same names and seed give the same split, whatever the order of the names, which each split keeps.

    Raises:
        UsageError: the seed is not from 0 to 2**32 - 1.
    """
    if not 0 <= seed < 2**32:
        raise UsageError(f"The seed of a random split is a whole number from 0 to 2**32 - 1, not {seed}.")
    if len(names) < 3:
        return {"train": np.arange(len(names))}
    from sklearn.model_selection import train_test_split

    tenth = max(1, round(len(names) / 10))
    train, rest = train_test_split(names.in_order(), test_size=2 * tenth, random_state=seed)
    dev, test = train_test_split(rest, test_size=tenth, random_state=seed)
    return {"train": np.sort(train), "dev": np.sort(dev), "test": np.sort(test)}
