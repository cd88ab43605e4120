"""``imagefolder``: a folder of pictures with ``metadata.csv`` or ``metadata.jsonl``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from capframe.errors import DatasetError
from capframe.image_names import find_images
from capframe.interfaces import CaptionedImages
from capframe.text_files import read_start

from .columns import caption_column
from .json_records import checked, load_json, member
from .splits import SPLITS, Splits
from .text_rows import csv_rows, text_lines

_METADATA = ("metadata.csv", "metadata.jsonl")


class ImageFolder:
    """Reads a folder with pictures and a metadata file beside them.

    The metadata file has a row a caption (or, in JSON lines, a list of captions): ``file_name``, relative
    to it, and the caption. In place of one metadata file the folder may have one in each of the folders
    ``train``, ``validation`` and ``test``, which are then the splits. A metadata file may also be read by
    itself, whatever it is called.

    Args:
        caption_column: name of the column with the captions; by default the one of ``caption``,
            ``captions`` and ``text`` that there is.
        encoding: of the metadata; a byte-order mark is dropped.
    """

    example: Mapping[str, bytes] = {
        "metadata.csv": b'file_name,caption\nstars/1.png,"Two stars, both red"\nstars/1.png,Red stars\n'
    }

    def __init__(self, caption_column: str | None = None, encoding: str = "utf-8") -> None:
        self.caption_column = caption_column
        self.encoding = encoding

    def recognises(self, path: Path) -> bool:
        """Whether the folder holds such a file, or the file is a table with the column ``file_name``."""
        if path.is_dir():
            return bool(_metadata_of(path))
        first = re.split(r"[\r\n]", read_start(path).lstrip(), maxsplit=1)[0]
        if not first.startswith("{"):
            titles = [title.strip().strip('"') for title in first.split(",")]
            return "file_name" in titles and len(titles) > 1
        try:
            record = load_json(path, first)
        except DatasetError:
            return False
        return isinstance(record, dict) and "file_name" in record

    def read(self, path: Path) -> CaptionedImages:
        """Read the metadata and find the pictures.

        Raises:
            DatasetError: the metadata cannot be read, or a row lacks name or caption; cites file and line.
        """
        root = path if path.is_dir() else path.parent
        files = _metadata_of(path) if path.is_dir() else [path]
        if not files:
            raise DatasetError(f"{path} holds neither {' nor '.join(_METADATA)}. Name the folder that does.")
        captions: dict[str, list[str]] = {}
        splits = Splits()
        for file in files:
            folder = file.parent.relative_to(root).as_posix()
            for place, name, texts in self._records(file):
                full_name = name if folder == "." else f"{folder}/{name}"
                captions.setdefault(full_name, []).extend(texts)
                if folder != ".":
                    splits.add(full_name, folder, place)
        found = {name: tuple(texts) for name, texts in captions.items() if texts}
        return CaptionedImages(found, splits.names, find_images(root, found))

    def _records(self, file: Path) -> Iterator[tuple[str, str, list[str]]]:
        """Yield place, picture name and captions of each row."""
        rows = self._json_rows if read_start(file).lstrip().startswith("{") else self._csv_rows
        column = ""
        for line, row in rows(file):
            place = f"{file}, line {line}"
            name = member(row, "file_name", str, place)
            if not name.strip():
                raise DatasetError(f"{place}: 'file_name' is empty. Give the picture a name.")
            column = column or caption_column(row, self.caption_column, place)
            texts = row.get(column)
            texts = texts if isinstance(texts, list) else [member(row, column, str, place)]
            yield place, name, [checked(text, str, f"{place}: a caption of {name!r}") for text in texts]

    def _json_rows(self, file: Path) -> Iterator[tuple[int, Any]]:
        return ((line, load_json(file, text, line)) for line, text in text_lines(file, self.encoding))

    def _csv_rows(self, file: Path) -> Iterator[tuple[int, dict[str, str]]]:
        rows = csv_rows(file, self.encoding)
        _, header = next(rows, (1, []))
        titles = [title.strip() for title in header]
        for line, row in rows:
            if len(row) != len(titles):
                raise DatasetError(
                    f"{file}, line {line}: {len(row)} fields, and the header has {len(titles)}. Put captions "
                    "that hold commas in quotes."
                )
            yield line, dict(zip(titles, row, strict=True))


def _metadata_of(folder: Path) -> list[Path]:
    """Return the metadata file in the folder, or those in its folders that are named as splits."""
    try:
        homes = sorted(sub for sub in folder.iterdir() if sub.name.lower() in SPLITS and sub.is_dir())
    except OSError:
        return []
    for candidates in ([folder], homes):
        found = [home / name for home in candidates for name in _METADATA if (home / name).is_file()]
        if found:
            return found
    return []
