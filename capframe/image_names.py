"""Picture names: how those in a caption file find the files of a folder."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from operator import truediv
from pathlib import Path, PurePosixPath

import numpy as np

from .errors import DatasetError
from .name_table import NamedValues, NameTable, Numbers


def find_images(folder: Path, captioned: Container[str] = ()) -> Mapping[str, Path]:
    """Find the pictures in a folder and the folders under it.

    Args:
        folder: where to look.
        captioned: names that count as pictures whatever they end in; other files, such as notes, and
            hidden ones are passed over.

    Returns:
        Path relative to ``folder``, with forward slashes -> file. The names are those that the disk
        gives, even where it would also find files by other spellings.

    Raises:
        DatasetError: there is no such folder.
    """
    from .image_files import is_image

    if not folder.is_dir():
        raise DatasetError(f"The picture folder {folder} is not a folder. Name one that exists.")
    return files_of(folder, NameTable(name for name in walk(folder) if name in captioned or is_image(name)))


def files_of(folder: Path, names: NameTable) -> Mapping[str, Path]:
    """Return name -> file, for names that are paths relative to ``folder``."""
    return NamedValues(names, partial(truediv, folder))


def walk(folder: Path) -> Iterator[str]:
    """Yield the files in a folder and the folders under it, as paths relative to it with forward slashes.

    Folders that cannot be read, and links to folders, are passed over.
    """
    folders = [""]
    while folders:
        parent = folders.pop()
        # Not os.walk, which lists a folder before it yields the first of its files.
        with suppress(OSError), os.scandir(folder / parent) as entries:
            for entry in entries:
                if not _is_folder(entry):
                    yield parent + entry.name
                elif not entry.is_symlink():
                    folders.append(f"{parent}{entry.name}/")


def match_numbers(wanted: Iterable[str], found: NameTable) -> Numbers:
    """Return which of the names ``found`` each wanted name is, int64 ``[N]``, or -1; see `match_names`."""
    wanted = wanted if isinstance(wanted, NameTable) else NameTable(wanted)
    numbers = found.numbers(wanted)
    rest = np.flatnonzero(numbers < 0)
    free = np.ones(len(found), bool)
    free[numbers[numbers >= 0]] = False
    if len(rest) and free.any():
        places = {wanted[number]: number for number in rest.tolist()}
        pairs = match_names(places, (found[number] for number in np.flatnonzero(free).tolist()))
        for name, other in pairs.items():
            numbers[places[name]] = found.number(other)
    return numbers


def match_names(wanted: Iterable[str], found: Iterable[str]) -> dict[str, str]:
    """Return wanted name -> found name, for the names that were found.

    Names are compared to the letter first. What is left is compared in Unicode normal form C (disks of
    macOS give form D), with the file ending in lower case (``.JPG`` is ``.jpg``) and with forward
    slashes, where that leaves no choice: one wanted name, one found name.
    """
    wanted, found = list(dict.fromkeys(wanted)), dict.fromkeys(found)
    matched = {name: name for name in wanted if name in found}
    rest = [name for name in wanted if name not in matched]
    if not rest:
        return matched
    free = [name for name in found if name not in matched]
    by_key = _unique(free)
    pairs = {name: by_key[key] for key, name in _unique(rest).items() if key in by_key}
    return {name: pairs.get(name, name) for name in wanted if name in matched or name in pairs}


def first_five(names: Collection[str]) -> str:
    """Return the first five names as text for messages."""
    return (", ".join(islice(names, 5)) or "nothing") + (", ..." if len(names) > 5 else "")


def _unique(names: Iterable[str]) -> dict[str, str]:
    """Return key -> name, without the keys that several names share."""
    keys = [(_key(name), name) for name in names]
    times = Counter(key for key, _ in keys)
    return {key: name for key, name in keys if times[key] == 1}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _key(name: str) -> str:
    path = unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")
    ending = PurePosixPath(path).suffix
    return path.removesuffix(ending) + ending.lower()
