"""Captions, pictures and splits: a caption file and a folder of pictures become a `Dataset`."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .errors import DatasetError, UsageError, did_you_mean

PathLike = str | os.PathLike[str]

# Other files that lie in a picture folder (Thumbs.db, notes) are not reported as lacking captions.
_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def read_captions(path: PathLike) -> dict[str, tuple[str, ...]]:
    """Read a caption file: rows ``image,caption``, with quotes where a caption holds a comma.

    The file is CSV in UTF-8, with or without byte-order mark. A header (a first row whose second
    column is called ``caption``) is optional, blank lines are skipped, and a caption whose commas are
    not in quotes is joined back. Nothing else is changed: every caption keeps its exact text and place.

    Returns:
        Picture name -> its captions, both in the order of the file. A caption may be empty.

    Raises:
        DatasetError: the file cannot be read, or a row is not ``image,caption``; cites file and line.
    """
    captions: dict[str, list[str]] = {}
    for number, (line, row) in enumerate(_rows(Path(path))):
        place = f"{path}, line {line}"
        if len(row) < 2:
            raise DatasetError(f"{place}: expected 'image,caption' but found no comma in {_short(row[0])}.")
        name, *texts = row
        if number == 0 and texts[0].strip().lower() == "caption":
            if len(texts) > 1:
                raise DatasetError(f"{place}: columns {', '.join(row)}. Write the two columns image,caption.")
            continue
        if not name.strip():
            raise DatasetError(f"{place}: no picture name before the caption {_short(','.join(texts))}.")
        if "\t" in name:
            raise DatasetError(f"{place}: a tab in {_short(name)}. Write 'image,caption', with a comma.")
        captions.setdefault(name, []).append(",".join(texts))
    if not captions:
        raise DatasetError(f"{path} holds no captions. Write one 'image,caption' row per caption.")
    return {name: tuple(texts) for name, texts in captions.items()}


def read_split(path: PathLike) -> tuple[str, ...]:
    """Read a split file: a picture name per line, UTF-8; blank lines and outer spaces are dropped.

    Raises:
        DatasetError: the file cannot be read, is empty, or has a name twice; cites file and line.
    """
    lines: dict[str, int] = {}
    for number, line in enumerate(io.StringIO(_read_text(Path(path)), newline=None), start=1):
        name = line.strip()
        if name in lines:
            raise DatasetError(f"{path}, line {number}: '{name}' is in line {lines[name]} too. Remove one.")
        if name:
            lines[name] = number
    if not lines:
        raise DatasetError(f"{path} holds no picture names. Write one name per line.")
    return tuple(lines)


@dataclass(frozen=True)
class Dataset:
    """Captioned pictures and how they are split.

    Attributes:
        captions: picture name -> its captions; only pictures that are usable, in the file's order.
        image_paths: picture name -> its file; empty where no picture folder was given.
        splits: ``train``, and ``dev`` and ``test`` as there are: split -> names of usable pictures.
        missing_images: captioned pictures that have no file (or no features); they are in no split.
        uncaptioned_images: pictures that have no caption, sorted.
    """

    captions: Mapping[str, tuple[str, ...]]
    image_paths: Mapping[str, Path] = field(default_factory=dict)
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing_images: tuple[str, ...] = ()
    uncaptioned_images: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        captions: PathLike,
        *,
        images: PathLike | None = None,
        train_split: PathLike | None = None,
        dev_split: PathLike | None = None,
        seed: int = 0,
        names: Iterable[str] | None = None,
    ) -> Dataset:
        """Read a caption file, find its pictures and split them.

        Without ``train_split`` the usable pictures are split at random, 80 % train, 10 % dev, 10 %
        test, by picture: all captions of a picture are in one split. The same pictures and seed give the
        same split, whatever the order of the rows (which the names in a split keep). Fewer than three
        pictures are all for training.

        Args:
            captions: the caption file, see `read_captions`.
            images: the folder of pictures. Names in the caption file are paths relative to it, written
                with ``/``, and are matched to the letter.
            train_split: a split file, see `read_split`.
            dev_split: a split file; there is no dev split where only ``train_split`` is given.
            seed: of the random split, from 0 to 2**32 - 1.
            names: in place of ``images``, the pictures whose features are stored.

        Raises:
            DatasetError: a file or folder cannot be read, more than half of the captioned pictures (of
                those in the split files, where they are given) are missing in the folder, a split names
                pictures without captions, or splits overlap.
            UsageError: both ``images`` and ``names``, ``dev_split`` without ``train_split``, or a
                seed out of range.
        """
        if images is not None and names is not None:
            raise UsageError("Give a picture folder (images) or the names of stored features, not both.")
        if dev_split is not None and train_split is None:
            raise UsageError(f"The dev split {dev_split} needs a train split: give both, or neither.")
        captioned = read_captions(captions)
        files = {} if images is None else _files(Path(images), captioned)
        present = set(files) if images is not None else set(captioned if names is None else names)
        usable = {name: texts for name, texts in captioned.items() if name in present}
        missing = tuple(name for name in captioned if name not in present)
        split_files = {"train": train_split, "dev": dev_split}
        named = {split: (path, read_split(path)) for split, path in split_files.items() if path is not None}
        wanted = [name for _, pictures in named.values() for name in pictures] or list(captioned)
        absent = [name for name in wanted if name in captioned and name not in present]
        if not usable or (images is not None and 2 * len(absent) > len(wanted)):
            place = "among the stored features" if images is None else f"in {images}"
            raise DatasetError(
                f"{len(absent)} of the {len(wanted)} pictures in {captions} are not {place}: "
                f"{_first_five(absent)}; found there: {_first_five(sorted(present))}. "
                "Name the folder or feature store that belongs to this caption file."
            )
        splits = _checked_splits(named, captioned, usable) if named else _split_at_random(usable, seed)
        return cls(
            captions=usable,
            image_paths={name: files[name] for name in usable if name in files},
            splits=splits,
            missing_images=missing,
            uncaptioned_images=tuple(sorted(present - captioned.keys())),
        )

    def __len__(self) -> int:
        """Return the number of usable pictures."""
        return len(self.captions)

    def split(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return picture name -> captions of one split, in the order of the split.

        Raises:
            DatasetError: there is no such split; lists those that exist.
        """
        if name not in self.splits:
            known = did_you_mean(name, self.splits) + f" It has: {', '.join(self.splits) or 'none'}."
            raise DatasetError(f"This dataset has no split '{name}'.{known}")
        return {picture: self.captions[picture] for picture in self.splits[name]}


def _checked_splits(
    named: Mapping[str, tuple[PathLike, tuple[str, ...]]], captioned: Container[str], usable: Container[str]
) -> dict[str, tuple[str, ...]]:
    splits: dict[str, tuple[str, ...]] = {}
    owners: dict[str, PathLike] = {}
    for split, (path, pictures) in named.items():
        unknown = [name for name in pictures if name not in captioned]
        if unknown:
            what = f"{path} names {len(unknown)} without captions: {_first_five(unknown)}."
            raise DatasetError(f"{what} Add captions for them, or remove them from the split.")
        shared = [name for name in pictures if name in owners]
        if shared:
            what = f"{path} and {owners[shared[0]]} share {len(shared)}: {_first_five(shared)}."
            raise DatasetError(f"{what} Keep each picture in one split only.")
        owners.update(dict.fromkeys(pictures, path))
        splits[split] = tuple(name for name in pictures if name in usable)
        if not splits[split]:
            raise DatasetError(f"{path} names no picture that was found: {_first_five(pictures)}.")
    return splits


def _split_at_random(names: Iterable[str], seed: int) -> dict[str, tuple[str, ...]]:
    if not 0 <= seed < 2**32:
        raise UsageError(f"The seed of a random split is a whole number from 0 to 2**32 - 1, not {seed}.")
    in_order = tuple(names)
    if len(in_order) < 3:
        return {"train": in_order}
    from sklearn.model_selection import train_test_split

    tenth = max(1, round(len(in_order) / 10))
    train, rest = train_test_split(sorted(in_order), test_size=2 * tenth, random_state=seed)
    dev, test = train_test_split(rest, test_size=tenth, random_state=seed)
    members = {"train": set(train), "dev": set(dev), "test": set(test)}
    return {split: tuple(name for name in in_order if name in chosen) for split, chosen in members.items()}


def _files(folder: Path, captioned: Container[str]) -> dict[str, Path]:
    """Return relative path -> file for all pictures: exact even where the disk ignores case."""
    if not folder.is_dir():
        raise DatasetError(f"The picture folder {folder} is not a folder. Name one that exists.")
    paths = (Path(parent, file) for parent, _, found in os.walk(folder) for file in found)
    named = ((path.relative_to(folder).as_posix(), path) for path in paths)
    return {name: path for name, path in named if name in captioned or path.suffix.lower() in _SUFFIXES}


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the line on which it starts."""
    # Strict: a quote left open would otherwise swallow the rows that follow, without a word.
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DatasetError(
                f"{path}, line {line}: not a CSV row ({error}). A caption that starts with a quote must end "
                'with one, and a quote inside it is written twice ("").'
            ) from None
        if any(field.strip() for field in row):
            yield line, row


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. Name a file that exists.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: not UTF-8 text. Save the file as UTF-8.") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _first_five(names: Sequence[str]) -> str:
    return (", ".join(names[:5]) or "nothing") + (", ..." if len(names) > 5 else "")
