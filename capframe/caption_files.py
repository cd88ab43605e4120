"""Caption files of any format: the dataset reader is chosen by their content, or by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import CapframeError, DatasetError, UsageError
from .interfaces import CaptionedImages
from .registry import Component, Registry, missing_members
from .text_files import read_start

if TYPE_CHECKING:
    from .interfaces import DatasetReader

ReaderSpec: TypeAlias = Any
"""The name of a dataset reader, a ``(name, options)`` pair, or a ready object."""


def read_caption_file(
    path: str | os.PathLike[str], reader: ReaderSpec | None = None, registry: Registry | None = None
) -> CaptionedImages:
    """Read a caption file of any format for which a dataset reader is installed.

    Args:
        path: the file, or for some formats the folder.
        reader: the dataset reader. By default the one that recognises the content of the file; what the
            file is called does not matter.
        registry: where readers are looked up; by default everything that is installed.

    Raises:
        DatasetError: no reader recognises the file, or several do; or it holds something wrong or no
            captions; cites file, line and reason.
        UnknownComponentError: no reader has that name.
        OptionError: the reader has no such option, or its value is of a wrong type.
        UsageError: ``reader`` is no dataset reader.
    """
    source = Path(path)
    if not source.exists():
        raise DatasetError(f"{path} cannot be read: No such file or directory. Name a file that exists.")
    registry = registry or Registry()
    chosen = _recognising(source, registry) if reader is None else _composed(reader, registry)
    try:
        captioned: CaptionedImages = chosen.value.read(source)
        _check(source, captioned)
    except CapframeError:
        raise
    # Plugins may raise anything on damaged files; to a user it is the file that is at fault.
    except Exception as error:
        raise DatasetError(
            f"{path} cannot be read by the dataset reader '{chosen.name}': {type(error).__name__}: {error}. "
            "Repair the file, or choose another reader."
        ) from error
    return captioned


def read_captions(
    path: str | os.PathLike[str], reader: ReaderSpec | None = None, registry: Registry | None = None
) -> dict[str, tuple[str, ...]]:
    """Return picture name -> its captions, both in the order of the file; see `read_caption_file`."""
    return dict(read_caption_file(path, reader, registry).captions)


def _composed(reader: ReaderSpec, registry: Registry) -> Component[DatasetReader]:
    if isinstance(reader, str):
        return registry.create("dataset_reader", reader)
    if isinstance(reader, Component):
        return reader
    if isinstance(reader, tuple) and len(reader) == 2 and isinstance(reader[0], str):
        return registry.create("dataset_reader", *reader)
    if isinstance(reader, type) or (lacking := missing_members("dataset_reader", reader)):
        what = "is a class" if isinstance(reader, type) else f"lacks {lacking}"
        raise UsageError(
            f"{reader!r} is no dataset reader: it {what}. Give a name, a pair (name, options) or an object."
        )
    return Component("dataset_reader", type(reader).__qualname__, lambda: reader)


def _recognising(path: Path, registry: Registry) -> Component[DatasetReader]:
    names, recognising, failed = registry.names("dataset_reader"), [], []
    for name in names:
        try:
            reader = registry.create("dataset_reader", name)
            if reader.value.recognises(path):
                recognising.append(reader)
        # One reader that fails must not keep the others from reading; a look-up that finds none names it.
        except Exception as error:
            failed.append(f"The reader '{name}' failed: {error}")
    if len(recognising) == 1:
        return recognising[0]
    choose = "Choose one with --dataset-reader NAME, in Python reader=NAME"
    if recognising:
        several = " and ".join(reader.name for reader in recognising)
        raise DatasetError(f"{path} can be read by several dataset readers: {several}. {choose}.")
    broken = [
        f"The {plugin} is {plugin.status} ({plugin.reason}) and may be what reads it."
        for plugin in registry.plugins.plugins
        if plugin.status != "loaded"
    ]
    start = read_start(path)
    if path.is_file() and (start.isspace() or not path.stat().st_size):
        raise DatasetError(f"{path} holds no captions: it is empty. Name another file.")
    tried = ", ".join(names) or "none"
    shown = f" It starts with {start.lstrip()[:40]!r}." if start else ""
    raise DatasetError(
        f"{path} is of no format that a dataset reader recognises; tried {tried}.{shown} "
        f"{choose}: that reader then says what is wrong. {' '.join([*failed, *broken])}".rstrip()
    )


def _check(path: Path, captioned: CaptionedImages) -> None:
    """Refuse what would fail later, far from the file: no captions, or text that cannot be written."""
    if not captioned.captions:
        raise DatasetError(f"{path} holds no captions. Name a file with a caption, or more, of each picture.")
    for name, texts in captioned.captions.items():
        try:
            if isinstance(texts, str):
                raise TypeError("one text, where a tuple of texts is due")
            "".join((name, *texts)).encode()
        except (TypeError, UnicodeEncodeError) as error:
            raise DatasetError(
                f"{path}: the captions of {name!r} are no text ({error}). Mend them."
            ) from None
    unknown = [
        name for names in captioned.splits.values() for name in names if name not in captioned.captions
    ]
    if unknown:
        raise DatasetError(f"{path}: a split has {unknown[0]!r}, which has no captions. Mend the file.")
