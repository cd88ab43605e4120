"""JSON from strangers: every member is checked, and errors say where it stands."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path
from typing import Any, TypeVar

from capframe.errors import DatasetError
from capframe.text_files import read_text

T = TypeVar("T")

_NOUNS = {str: "text", int: "a whole number", dict: "an object", list: "a list", type(None): "null"}


def load_json(path: Path, text: str | None = None, line: int | None = None) -> Any:
    """Return what a JSON file, or one line of a file of JSON lines, holds.

    Raises:
        DatasetError: it cannot be read or is no JSON; cites file and line.
    """
    place = "" if line is None else f", line {line}"
    try:
        return json.loads(read_text(path) if text is None else text)
    except json.JSONDecodeError as error:
        place = place or f", line {error.lineno}"
        raise DatasetError(
            f"{path}{place}, column {error.colno}: not JSON ({error.msg}). Repair or fetch the file again."
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets without end
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise DatasetError(f"{path}{place}: not JSON that can be read ({reason}). Repair the file.") from None


def member(record: object, key: str, kind: type[T], place: str, due: str = "") -> T:
    """Return ``record[key]``.

    Raises:
        DatasetError: the record is no object, has no such key, or a value of another type or that is no
            text which can be written; cites ``place``.
    """
    if not isinstance(record, dict):
        raise DatasetError(f"{place}: expected an object with '{key}' but found {described(record)}.")
    if key not in record:
        keys = ", ".join(map(str, list(record)[:8])) or "nothing"
        raise DatasetError(f"{place}: '{key}' is missing; it has {keys}.")
    return checked(record[key], kind, f"{place}: '{key}'", due)


def identity_of(record: object, key: str, place: str) -> int | str:
    """Return ``record[key]``, a number or text by which a picture is known; see `member`."""
    if isinstance(record, dict) and type(record.get(key)) is int:
        identity: int = record[key]
        return identity
    return member(record, key, str, place, "a whole number or text")


def checked(value: Any, kind: type[T], what: str, due: str = "") -> T:
    """Return the value if it is of the kind, and, for text, if it can be written as UTF-8.

    Raises:
        DatasetError: it is not; ``what`` begins the message.
    """
    if type(value) is not kind:
        raise DatasetError(f"{what} is {described(value)}; it must be {due or _NOUNS[kind]}.")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise DatasetError(f"{what} is {value[:60]!r}, which holds half a character. Mend it.") from None
    result: T = value
    return result


def described(value: object) -> str:
    """Return a value as messages show it, with its type."""
    noun = _NOUNS.get(type(value), type(value).__name__)
    return noun if isinstance(value, (dict, list, type(None))) else f"{noun} ({str(value)[:40]!r})"


def mentions(path: Path, *keys: str, top: str = r"\{") -> bool:
    """Whether a file is JSON with an object on top and each of these keys somewhere; never raises.

    ``top`` is a pattern of another beginning.

    The file is looked through, not parsed: large ones would take seconds.
    """
    try:
        with path.open("rb") as file:
            if not re.match(rb"(?:\xef\xbb\xbf)?\s*" + top.encode(), file.read(1024)):
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return all(re.search(rb'"%b"\s*:' % key.encode(), content) for key in keys)
    except (OSError, ValueError):
        return False
