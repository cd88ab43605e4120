"""What a run folder from a stranger must keep to before anything in it is believed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import RunFolderError

_MOST_BYTES = 256 * 1024**2
_PACKAGE = re.compile(r"|[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")
_ONE, _SEVERAL = ("feature_extractor", "decoder"), ("text_cleaners", "callbacks")


def check_files(folder: Path, texts: Iterable[str], others: Iterable[str] = ()) -> None:
    """Refuse files that lie elsewhere, by a symbolic link, and text files of a size that none has.

    Raises:
        RunFolderError: names the file.
    """
    home = folder.resolve()
    for name in (*texts, *others):
        path = folder / name
        if not path.resolve().is_relative_to(home):
            raise RunFolderError(
                f"{path} is a link to {path.resolve()}, outside the run folder, and is not followed. Copy "
                "the file itself into the folder."
            )
    for name in texts:
        path = folder / name
        if path.is_file() and path.stat().st_size > _MOST_BYTES:
            raise RunFolderError(
                f"{path} has {path.stat().st_size} bytes, more than any such file. Copy the run folder anew."
            )


def check_config(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a configuration whose entries are of other types than capframe writes.

    Raises:
        RunFolderError: names the file and the entry.
    """
    for key in ("vocabulary", "training", "features"):
        _require(isinstance(config[key], dict), path, key)
    for key in _ONE:
        _require(_is_record(config[key]), path, key)
    for key in _SEVERAL:
        _require(isinstance(config[key], list) and all(map(_is_record, config[key])), path, key)


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict):
        return False
    if "object" in record:
        return isinstance(record["object"], str)
    texts = (record.get("name"), record.get("package"), record.get("version"))
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(record.get("options"), dict)
        # It is shown to users as something to install.
        and _PACKAGE.fullmatch(record["package"]) is not None
    )


def _require(condition: bool, path: Path, key: str) -> None:
    if not condition:
        raise RunFolderError(f"{path} is damaged: '{key}' is of another form. Train or copy it anew.")
