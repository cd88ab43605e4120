"""``flickr-token``: lines ``name#0<TAB>caption``, as the Flickr datasets are distributed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from capframe.caption_table import CaptionTable
from capframe.errors import DatasetError
from capframe.interfaces import CaptionedImages
from capframe.text_files import read_start

from .text_rows import short, text_lines


class FlickrToken:
    """Reads lines ``name#number<TAB>caption``. The numbers are not looked at: the file's order counts.

    Args:
        encoding: of the file; a byte-order mark is dropped.
    """

    example = b"stars/1.png#0\tTwo stars, both red\nstars/1.png#1\tRed stars\n"

    def __init__(self, encoding: str = "utf-8") -> None:
        self.encoding = encoding

    def recognises(self, path: Path) -> bool:
        """Whether the first line that is not blank has this form."""
        return starts_with_token(read_start(path))

    def read(self, path: Path) -> CaptionedImages:
        """Read all lines; blank ones are skipped.

        Raises:
            DatasetError: the file cannot be read, or a line has another form; cites file and line.
        """
        return CaptionedImages(CaptionTable(self._captions(path)))

    def _captions(self, path: Path) -> Iterator[tuple[str, tuple[str]]]:
        for number, line in text_lines(path, self.encoding):
            parts = token_parts(line)
            if parts is None:
                raise DatasetError(
                    f"{path}, line {number}: expected a picture name, #, a number, a tab and a caption, but "
                    f"found {short(line)}."
                )
            name, caption = parts
            yield name, (caption,)


def starts_with_token(text: str) -> bool:
    """Whether the first line that is not blank is ``name#number<TAB>caption``."""
    return token_parts(re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0]) is not None


def token_parts(line: str) -> tuple[str, str] | None:
    """Return picture name and caption of a line, or None for a line of another form."""
    key, tab, caption = line.partition("\t")
    name, sign, number = key.rpartition("#")
    well_formed = tab and sign and name.strip() and number.isascii() and number.isdigit()
    return (name, caption) if well_formed else None
