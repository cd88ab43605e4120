"""Pictures that stay in their Parquet file until they are looked at."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

_GROUPS_KEPT = 2


class RowGroups:
    """The pictures of one Parquet file, read one row group at a time.

    Pictures are looked at in order, by several threads: the last two groups that were read are kept.

    Args:
        path: the file.
        leaf: the column with the bytes, such as ``image.bytes``.
    """

    def __init__(self, path: Path, leaf: str) -> None:
        self.path = path
        self.leaf = leaf
        self._lock = threading.Lock()
        self._kept: dict[int, Any] = {}

    def __reduce__(self) -> tuple[type[RowGroups], tuple[Path, str]]:
        # Another process reads its groups itself.
        return RowGroups, (self.path, self.leaf)

    def value(self, group: int, row: int) -> bytes | None:
        """Return the bytes in one row of a group, None for null.

        Raises:
            OSError: the file cannot be read.
        """
        import pyarrow
        from pyarrow import parquet

        with self._lock:
            if group not in self._kept:
                try:
                    with parquet.ParquetFile(self.path) as file:
                        column = file.read_row_group(group, columns=[self.leaf]).column(0)
                except pyarrow.ArrowException as error:
                    raise OSError(f"row group {group} of {self.path} is damaged ({error})") from None
                while len(self._kept) >= _GROUPS_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[group] = column
            scalar = self._kept[group][row]
        value = scalar.as_py()
        found: bytes | None = value.get("bytes") if isinstance(value, dict) else value
        return found


class ParquetImage:
    """One picture in a Parquet file."""

    def __init__(self, groups: RowGroups, group: int, row: int, number: int) -> None:
        self._groups = groups
        self._position = group, row
        self._number = number

    def read_bytes(self) -> bytes:
        """Return the bytes of the picture file.

        Raises:
            OSError: the row holds none, or the file cannot be read.
        """
        content = self._groups.value(*self._position)
        if content is None:
            raise OSError(f"{self} holds no picture")
        return content

    def __str__(self) -> str:
        return f"{self._groups.path}, row {self._number}"
