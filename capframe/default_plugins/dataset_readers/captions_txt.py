"""``captions-txt``: rows ``image,caption``, with or without header and quotes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from capframe.caption_table import CaptionTable
from capframe.errors import DatasetError
from capframe.interfaces import CaptionedImages
from capframe.text_files import read_start

from .flickr_token import starts_with_token
from .text_rows import csv_rows, short, text_lines

_ADVICE = " If quotes are just letters in this file, give --set dataset_reader.quoted=false."
_WITH_ENDING = re.compile(r".+\.[A-Za-z][A-Za-z0-9]{1,4}", re.DOTALL)
_JSON = re.compile(r'\s*[\[{]\s*["\[{}\]]')


class CaptionsTxt:
    """Reads rows ``image,caption``.

    A header (a first row whose second column is called ``caption``) is optional, blank lines are
    skipped, and a caption whose commas are not in quotes is joined back. Nothing else is changed: every
    caption keeps its exact text and place.

    Args:
        encoding: of the file; a byte-order mark is dropped.
        quoted: whether captions may stand in quotes, as CSV has them, where they hold commas, quotes or
            line ends. If not, a quote is a letter, and every line is a row.
    """

    example = b'image,caption\nstars/1.png,"Two stars, both red"\nstars/1.png,Red stars\n'

    def __init__(self, encoding: str = "utf-8", quoted: bool = True) -> None:
        self.encoding = encoding
        self.quoted = quoted

    def recognises(self, path: Path) -> bool:
        """Whether the first row is a header ``image,caption``, or starts with what can be a picture name."""
        start = read_start(path)
        if _JSON.match(start):
            return False
        try:
            row = next((row for row in csv.reader(io.StringIO(start, newline="")) if any(row)), [])
        except csv.Error:
            return False
        titles = [field.strip().lower() for field in row]
        if len(row) < 2 or not titles[0] or "\t" in row[0] or "file_name" in titles:
            return False
        # The comma of a file name#number<TAB>caption may be one of the picture's name.
        return titles[1] == "caption" or (_can_be_name(row[0]) and not starts_with_token(start))

    def read(self, path: Path) -> CaptionedImages:
        """Read all rows.

        Raises:
            DatasetError: the file cannot be read, or a row is not ``image,caption``; cites file and line.
        """
        return CaptionedImages(CaptionTable(self._captions(path)))

    def _captions(self, path: Path) -> Iterator[tuple[str, tuple[str]]]:
        for number, (line, row) in enumerate(self._rows(path)):
            place = f"{path}, line {line}"
            if len(row) < 2:
                raise DatasetError(
                    f"{place}: expected 'image,caption' but found no comma in {short(row[0])}."
                )
            name, *texts = row
            titles = [field.strip().lower() for field in row]
            if number == 0 and (titles[1] == "caption" or {"image", "caption"} <= {*titles}):
                if len(row) > 2:
                    columns = ", ".join(row)
                    raise DatasetError(f"{place}: columns {columns}. Write the two columns image,caption.")
                continue
            if not name.strip():
                raise DatasetError(f"{place}: no picture name before the caption {short(','.join(texts))}.")
            if "\t" in name:
                raise DatasetError(f"{place}: a tab in {short(name)}. Write 'image,caption', with a comma.")
            yield name, (",".join(texts),)

    def _rows(self, path: Path) -> Iterator[tuple[int, list[str]]]:
        if self.quoted:
            return csv_rows(path, self.encoding, _ADVICE)
        return ((line, text.split(",", 1)) for line, text in text_lines(path, self.encoding))


def _can_be_name(text: str) -> bool:
    """Whether text ends like a file, or has digits and no spaces, as in ``1000268201_693b08cb0e``."""
    identity = any(map(str.isdigit, text)) and not any(map(str.isspace, text))
    return identity or _WITH_ENDING.fullmatch(text) is not None
