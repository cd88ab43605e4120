"""Tables that are spread over several Parquet files in a folder, as Hugging Face keeps them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from capframe.errors import DatasetError

from .splits import SPLITS

_NUMBERED = re.compile(r"(?P<before>.*)-(?P<number>\d+)-of-(?P<count>\d+).*")


def is_parquet(path: Path) -> bool:
    """Whether a file starts as Parquet files do; never raises."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def shards_in(folder: Path) -> list[Path]:
    """Return the files of a folder that end in ``.parquet`` and are not hidden, by name; never raises."""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        path for path in found if path.suffix.lower() == ".parquet" and path.name[0] != "." and path.is_file()
    ]


def check_complete(shards: Sequence[Path]) -> None:
    """Refuse shards named ``train-00000-of-00002.parquet`` and so on if one of them is not there.

    Raises:
        DatasetError: one is missing; says which.
    """
    present: dict[tuple[str, str], set[int]] = {}
    for path in shards:
        if parts := _NUMBERED.fullmatch(path.stem):
            present.setdefault((parts["before"], parts["count"]), set()).add(int(parts["number"]))
    for (before, count), numbers in present.items():
        if len(numbers) < int(count):
            first = next(number for number in itertools.count(0) if number not in numbers)
            raise DatasetError(
                f"{shards[0].parent} holds {len(numbers)} of the {int(count)} files {before}-...-of-{count}; "
                f"number {first} is missing. Fetch it."
            )


def splits_of(shards: Sequence[Path]) -> dict[Path, str]:
    """Return shard -> the split in the first word of its name; empty unless all have one, of two or more.

    A single split is none: the table is then whole, whatever it is called.
    """
    words = {path: re.split(r"[-_.]", path.stem, maxsplit=1)[0].lower() for path in shards}
    known = {SPLITS.get(word) for word in words.values()}
    return words if None not in known and len(known) > 1 else {}
