"""Captions, pictures and splits: a caption file and its pictures become a `Dataset`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from .caption_files import ReaderSpec, read_caption_file, read_captions
from .caption_table import CaptionTable
from .errors import DatasetError, UsageError, did_you_mean
from .image_names import find_images, first_five, match_numbers
from .interfaces import StoredImage
from .name_table import ChosenNames, NamedValues, NameTable, Numbers, restricted
from .registry import Registry
from .splits import check_splits, read_split, read_split_names, split_at_random

__all__ = ["Dataset", "read_caption_file", "read_captions", "read_split"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Dataset:
    """Captioned pictures and how they are split.

    A picture has the name of its file (or of its stored features), which may be spelt a little
    otherwise than in the caption file; see `capframe.image_names.match_names`. What is read from files is
    looked up there when it is used: names, captions and splits take next to no memory, however many they are.

    Attributes:
        captions: picture name -> its captions; only pictures that are usable, in the file's order.
        image_paths: picture name -> its file, or what else holds the picture; empty where there are none.
        splits: ``train``, and ``dev`` and ``test`` as there are: split -> names of usable pictures.
        missing_images: captioned pictures that have no file (or no features); they are in no split.
        uncaptioned_images: pictures that have no caption, sorted.
        respelt_images: name in the caption file -> name of the picture, where they differ.
    """

    captions: Mapping[str, tuple[str, ...]]
    image_paths: Mapping[str, StoredImage | bytes] = field(default_factory=dict)
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing_images: Sequence[str] = ()
    uncaptioned_images: Sequence[str] = ()
    respelt_images: Mapping[str, str] = field(default_factory=dict)

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
        reader: ReaderSpec | None = None,
        registry: Registry | None = None,
    ) -> Dataset:
        """Read a caption file, find its pictures and split them.

        The splits are those of ``train_split`` and ``dev_split``; without them those of the caption
        file, where its format has them; else the usable pictures are split at random, 80 % train, 10 %
        dev, 10 % test, by picture: all captions of a picture are in one split. The same pictures and
        seed give the same split, whatever the order of the rows (which the names in a split keep).
        Fewer than three pictures are all for training.

        Args:
            captions: the caption file, of any format that a dataset reader knows.
            images: the folder of pictures. Names in the caption file are paths relative to it. Without
                one, the pictures are those that the caption file brings, if its format does.
            train_split: a split file, see `read_split`.
            dev_split: a split file; there is no dev split where only ``train_split`` is given.
            seed: of the random split, from 0 to 2**32 - 1.
            names: in place of ``images``, the pictures whose features are stored.
            reader: the dataset reader, see `read_caption_file`.
            registry: where readers are looked up; by default everything that is installed.

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
        read = read_caption_file(captions, reader, registry)
        table = CaptionTable.of(read.captions)
        captioned = table.names
        files = read.images if images is None else find_images(Path(images), captioned)
        looked_at = images is not None or bool(files)
        present = NameTable(chain(files, names or ())) if looked_at or names is not None else captioned
        found = np.arange(len(captioned)) if present is captioned else match_numbers(captioned, present)
        split_files = {"train": train_split, "dev": dev_split}
        named = {
            split: (path, read_split_names(path)) for split, path in split_files.items() if path is not None
        }
        wanted = match_numbers(chain.from_iterable(pictures for _, pictures in named.values()), captioned)
        wanted = wanted[wanted >= 0] if (wanted >= 0).any() else np.arange(len(captioned))
        absent = wanted[found[wanted] < 0]
        if not (found >= 0).any() or (looked_at and 2 * len(absent) > len(wanted)):
            place = f"in {images or captions}" if looked_at else "among the stored features"
            raise DatasetError(
                f"{len(absent)} of the {len(wanted)} pictures in {captions} are not {place}: "
                f"{first_five(ChosenNames(captioned, absent))}; found there: "
                f"{first_five(ChosenNames(present, present.in_order()))}. "
                "Name the folder or feature store that belongs to this caption file."
            )
        usable = np.flatnonzero(found >= 0)
        respelt = {}
        if present is not captioned:
            pairs = zip(captioned.named(usable), present.named(found[usable]), strict=True)
            respelt = {written: name for written, name in pairs if written != name}
            table = table.chosen(usable, NameTable(present.named(found[usable])))
        places = np.full(len(captioned), -1)
        places[usable] = np.arange(len(usable))
        if named:
            splits = check_splits(named, captioned, places)
        elif read.splits:
            numbers = {split: captioned.numbers(own) for split, own in read.splits.items()}
            read_splits = {split: places[own[own >= 0]] for split, own in numbers.items()}
            splits = {split: own[own >= 0] for split, own in read_splits.items() if (own >= 0).any()}
        else:
            splits = split_at_random(table.names, seed)
        return cls(
            captions=table,
            image_paths=_files_of(table.names, files),
            splits={split: ChosenNames(table.names, numbers) for split, numbers in splits.items()},
            missing_images=ChosenNames(captioned, np.flatnonzero(found < 0)),
            uncaptioned_images=ChosenNames(present, _others(present, found[usable])),
            respelt_images=respelt,
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

    @property
    def dataset_report(self) -> str:
        """What was read and what was left out, for people; it holds no captions.

        The pictures that are left out are listed by name, a line each.
        """
        texts = sum(map(len, self.captions.values()))
        repeated = texts - sum(len(set(own)) for own in self.captions.values())
        splits = ", ".join(f"{split} {len(names)}" for split, names in self.splits.items()) or "none"
        lines = [
            f"pictures: {len(self)}",
            f"captions: {texts}, {repeated} of them the same as an earlier one of their picture (kept)",
            f"splits: {splits}",
            f"captioned pictures that were not found, and were skipped: {len(self.missing_images)}",
            *(f"    {_printable(name)}" for name in self.missing_images),
            f"pictures without a caption, which were skipped: {len(self.uncaptioned_images)}",
            *(f"    {_printable(name)}" for name in self.uncaptioned_images),
            f"pictures whose file is spelt otherwise than in the caption file: {len(self.respelt_images)}",
            *(f"    {_printable(old)} -> {_printable(new)}" for old, new in self.respelt_images.items()),
        ]
        return "\n".join(lines) + "\n"


def _files_of(
    names: NameTable, files: Mapping[str, StoredImage | bytes]
) -> Mapping[str, StoredImage | bytes]:
    complete = all(name in files for name in names)
    return NamedValues(names, files.__getitem__) if complete else restricted(files, names)


def _others(names: NameTable, numbers: Numbers) -> Numbers:
    """Return the numbers of all names but some, in the order of the names."""
    others = np.ones(len(names), bool)
    others[numbers] = False
    order = names.in_order() if others.any() else numbers
    rest: Numbers = order[others[order]]
    return rest


def _printable(name: str) -> str:
    """Return a name as it is, or escaped where it would break the line or cannot be written."""
    return name if name.isprintable() else json.dumps(name)
