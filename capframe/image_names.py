"""Picture names: how those in a caption file find the files of a folder."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from pathlib import Path, PurePosixPath

from .errors import DatasetError


def find_images(folder: Path, captioned: Container[str] = ()) -> dict[str, Path]:
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
    from .images import ENDINGS

    if not folder.is_dir():
        raise DatasetError(f"The picture folder {folder} is not a folder. Name one that exists.")
    found = {}
    for parent, _, files in os.walk(folder):
        for file in files:
            path = Path(parent, file)
            name = path.relative_to(folder).as_posix()
            if name in captioned or (path.suffix.lower() in ENDINGS and not file.startswith(".")):
                found[name] = path
    return found


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


def first_five(names: Sequence[str]) -> str:
    """Return the first five names as text for messages."""
    return (", ".join(names[:5]) or "nothing") + (", ..." if len(names) > 5 else "")


def _unique(names: Iterable[str]) -> dict[str, str]:
    """Return key -> name, without the keys that several names share."""
    keys = [(_key(name), name) for name in names]
    times = Counter(key for key, _ in keys)
    return {key: name for key, name in keys if times[key] == 1}


def _key(name: str) -> str:
    path = unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")
    ending = PurePosixPath(path).suffix
    return path.removesuffix(ending) + ending.lower()
