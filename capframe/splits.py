"""Which pictures train, which are watched and which are scored: from files, or at random."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterable, Mapping

from .errors import DatasetError, UsageError
from .image_names import first_five, match_names
from .text_files import read_text

PathLike = str | os.PathLike[str]


def read_split(path: PathLike) -> tuple[str, ...]:
    """Read a split file: a picture name per line, UTF-8; blank lines and outer spaces are dropped.

    Raises:
        DatasetError: the file cannot be read, is empty, or has a name twice; cites file and line.
    """
    lines: dict[str, int] = {}
    for number, line in enumerate(io.StringIO(read_text(path), newline=None), start=1):
        name = line.strip()
        if name in lines:
            raise DatasetError(f"{path}, line {number}: '{name}' is in line {lines[name]} too. Remove one.")
        if name:
            lines[name] = number
    if not lines:
        raise DatasetError(f"{path} holds no picture names. Write one name per line.")
    return tuple(lines)


def check_splits(
    named: Mapping[str, tuple[PathLike, tuple[str, ...]]],
    captioned: Collection[str],
    usable: Mapping[str, str],
) -> dict[str, tuple[str, ...]]:
    """Return the usable pictures of each split, under the names of their files.

    Args:
        named: split -> where it was read from, and the names in it, in order.
        captioned: names of all pictures that have captions.
        usable: name of a picture that has captions and was found -> name of its file.

    Raises:
        DatasetError: a split names pictures without captions, or none that was found, or two overlap.
    """
    splits: dict[str, tuple[str, ...]] = {}
    owners: dict[str, PathLike] = {}
    for split, (path, pictures) in named.items():
        known = match_names(pictures, captioned)
        unknown = [name for name in pictures if name not in known]
        if unknown:
            what = f"{path} names {len(unknown)} without captions: {first_five(unknown)}."
            raise DatasetError(f"{what} Add captions for them, or remove them from the split.")
        names = [known[name] for name in pictures]
        shared = [name for name in names if name in owners]
        if shared:
            what = f"{path} and {owners[shared[0]]} share {len(shared)}: {first_five(shared)}."
            raise DatasetError(f"{what} Keep each picture in one split only.")
        owners.update(dict.fromkeys(names, path))
        splits[split] = tuple(usable[name] for name in names if name in usable)
        if not splits[split]:
            raise DatasetError(f"{path} names no picture that was found: {first_five(pictures)}.")
    return splits


def split_at_random(names: Iterable[str], seed: int) -> dict[str, tuple[str, ...]]:
    """Split 80 % train, 10 % dev, 10 % test; fewer than three pictures are all for training.

    The same names and seed give the same split, whatever the order of the names, which each split keeps.

    Raises:
        UsageError: the seed is not from 0 to 2**32 - 1.
    """
    if not 0 <= seed < 2**32:
        raise UsageError(f"The seed of a random split is a whole number from 0 to 2**32 - 1, not {seed}.")
    in_order = tuple(names)
    if len(in_order) < 3:
        return {"train": in_order}
    from sklearn.model_selection import train_test_split

    tenth = max(1, round(len(in_order) / 10))
    train, rest = train_test_split(sorted(in_order), test_size=2 * tenth, random_state=seed)
    dev, test = train_test_split(rest, test_size=tenth, random_state=seed)
    members = {"train": set(train), "dev": set(dev), "test": set(test)}
    return {split: tuple(name for name in in_order if name in chosen) for split, chosen in members.items()}
