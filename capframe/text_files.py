"""Text files from anywhere: decoded whole, or refused with the line that is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .errors import DatasetError, OptionError

_START = 1 << 16


def read_text(path: str | os.PathLike[str], encoding: str = "utf-8", advice: str = "") -> str:
    """Read a text file; a byte-order mark is dropped, line ends stay as they are.

    Args:
        path: the file.
        encoding: as Python names encodings, for instance ``latin-1``.
        advice: what else than saving it as UTF-8 can be done with a file of another encoding.

    Raises:
        DatasetError: the file cannot be read or is not of this encoding; cites file and line.
        OptionError: there is no such encoding.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. Name a file that exists.") from None
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = len((content[:start] + b"x").splitlines())
        raise DatasetError(
            f"{path}, line {line}: not {encoding.upper()} text (byte 0x{content[start]:02x}). "
            f"Save the file as UTF-8{advice}."
        ) from None
    except LookupError:
        raise OptionError(
            f"There is no text encoding named '{encoding}'; give one such as utf-8, latin-1 or utf-16."
        ) from None


def read_lines(
    path: str | os.PathLike[str], encoding: str, advice: str = "", newline: str | None = None
) -> Iterator[str]:
    """Yield the lines of a text file with their ends, never holding all of it.

    Args:
        path: the file; a byte-order mark is dropped.
        encoding: as Python names encodings.
        advice: see `read_text`.
        newline: which line ends there are, as `open` has it.

    Raises:
        DatasetError: the file cannot be read or is not of this encoding; cites file and line.
        OptionError: there is no such encoding.
    """
    try:
        with Path(path).open(encoding=encoding, newline=newline) as file:
            for number, line in enumerate(file):
                yield line if number else line.removeprefix("\ufeff")
    except (OSError, UnicodeError, LookupError):
        # What is wrong, and where, is found by looking at the file as a whole.
        read_text(path, encoding, advice)
        raise


def read_start(path: str | os.PathLike[str]) -> str:
    """Return about the first 64 KiB of a text file, to judge its format by; never raises.

    Bytes that are not UTF-8 are replaced, and a byte-order mark is dropped. What is no text file (a
    folder, a file that cannot be read or that holds zero bytes) gives an empty string.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(_START)
    except (OSError, ValueError):
        return ""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = start.decode("utf-16", errors="replace")
    else:
        text = start.decode("utf-8", errors="replace")
    return "" if "\0" in text else text.removeprefix("\ufeff")
