"""Rows of text files, each with the line on which it starts."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from capframe.errors import DatasetError
from capframe.text_files import read_lines

ENCODING_ADVICE = ", or give the encoding it has, for instance --set dataset_reader.encoding=latin-1"


def csv_rows(path: Path, encoding: str, advice: str = "") -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that are not blank.

    Raises:
        DatasetError: the file cannot be read, is of another encoding, or a row is broken.
    """
    # Strict: a quote left open would otherwise swallow the rows that follow, without a word.
    reader = csv.reader(read_lines(path, encoding, ENCODING_ADVICE, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DatasetError(
                f"{path}, line {line}: not a CSV row ({error}). A caption that starts with a quote must end "
                f'with one, and a quote inside it is written twice ("").{advice}'
            ) from None
        if any(field.strip() for field in row):
            yield line, row


def text_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    r"""Yield the lines that are not blank, without their ends: ``\n``, ``\r\n`` or ``\r``, nothing else.

    Raises:
        DatasetError: the file cannot be read, or is of another encoding.
    """
    for number, line in enumerate(read_lines(path, encoding, ENCODING_ADVICE, newline=None), start=1):
        if line.strip():
            yield number, line.removesuffix("\n")


def short(text: str) -> str:
    """Return text as messages quote it."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
