"""Laws of dataset readers.

A reader may have an attribute ``example``: the bytes of a small file of its format or, where that is a
folder, ``{file name: bytes}``. With it more laws can be held.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DatasetError
from ..interfaces import CaptionedImages
from .laws import LawBook, NotApplicable, Subject, require

BOOK = LawBook()

ODD = {
    "empty.txt": b"",
    "zeros.bin": bytes(1000),
    "latin.txt": "caf\xe9 \xfc\n".encode("latin-1"),
    "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "open.json": b'{"images": [',
    "deep.json": b"[" * 100_000,
    "word.txt": b"word",
}


@contextmanager
def _odd_paths() -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, content in ODD.items():
            (folder / name).write_bytes(content)
        (folder / "empty folder").mkdir()
        yield [*sorted(folder.iterdir()), folder / "missing.txt"]


@contextmanager
def _example(subject: Subject) -> Iterator[Path]:
    """Write the reader's example under a name that says nothing."""
    example = getattr(subject.component, "example", None)
    if example is None:
        raise NotApplicable("the reader has no attribute 'example'")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "example"
        if isinstance(example, bytes):
            path.write_bytes(example)
        else:
            path.mkdir()
            for name, content in example.items():
                (path / name).write_bytes(content)
        yield path


@BOOK.law(
    "Return False from recognises() for whatever it cannot make sense of; catch OSError and decoding errors."
)
def odd_files_are_not_recognised(subject: Subject) -> None:
    """``recognises`` is False, and no error, for files of other kinds, folders and files that are missing."""
    with _odd_paths() as paths:
        for path in paths:
            seen = subject.component.recognises(path)
            require(seen is False, f"recognises({path.name}) is {seen!r}")


@BOOK.law("Raise a capframe.errors.DatasetError that names the file, the line and the reason.")
def odd_files_are_refused_by_name(subject: Subject) -> None:
    """Of files of other kinds ``read`` gives no captions, or a ``DatasetError`` that names the file."""
    with _odd_paths() as paths:
        for path in paths:
            try:
                found = subject.component.read(path)
            except DatasetError as error:
                require(path.name in str(error), f"the error on {path.name} does not name it: {error}")
            else:
                require(not found.captions, f"{path.name} was read: {found}")


@BOOK.law(
    "Give the reader an attribute 'example': bytes of a small file of the format, or {file name: bytes}."
)
def its_example_is_recognised_and_read(subject: Subject) -> None:
    """The reader's own example is recognised and gives captions by picture name."""
    with _example(subject) as path:
        require(subject.component.recognises(path) is True, "its own example is not recognised")
        found = subject.component.read(path)
        require(isinstance(found, CaptionedImages), f"read() returns {type(found).__name__}")
        require(bool(found.captions), "no captions were read from its example")
        for name, texts in found.captions.items():
            good = isinstance(name, str) and isinstance(texts, tuple) and all(type(t) is str for t in texts)
            require(good, f"{name!r} -> {texts!r}; a name and a tuple of texts are due")
        again = subject.build().read(path)
        require(found.captions == again.captions, "reading twice gives other captions")
        require(list(found.captions) == list(again.captions), "reading twice gives another order")


@BOOK.law("Call the splits train, dev and test; list each captioned picture in one of them at most.")
def splits_are_those_of_capframe(subject: Subject) -> None:
    """Splits are called ``train``, ``dev`` or ``test``, hold captioned pictures, and do not overlap."""
    with _example(subject) as path:
        found = subject.component.read(path)
        odd = [split for split in found.splits if split not in ("train", "dev", "test")]
        require(not odd, f"a split is called {odd[:1]}")
        names = [name for split in found.splits.values() for name in split]
        require(set(names) <= set(found.captions), "a split has pictures without captions")
        require(len(names) == len(set(names)), "a picture is in a split twice, or in two")
