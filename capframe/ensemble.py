"""Ensemble: several trained captioners that caption together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from .captioner import Captioner
from .captioning import Captioning, Member
from .errors import UsageError
from .extraction import PathLike
from .registry import Registry
from .search import Search
from .vocabulary import Vocabulary

SHOWN = 3


class Ensemble(Captioning):
    """Several trained captioners that search one caption together: each word by their mean probability.

    Decoders and feature extractors may differ; the vocabulary must be one. Each picture goes once through
    each distinct extractor. The ensemble is made of what the captioners have learned so far: training one of
    them further does not change it.

    Args:
        captioners: trained ones.
        names: what to call them in errors.

    Raises:
        UsageError: there are none, one is not trained, or their vocabularies differ.
    """

    def __init__(self, captioners: Iterable[Captioner], *, names: Sequence[str] | None = None) -> None:
        self.captioners = tuple(captioners)
        if not self.captioners:
            raise UsageError("An ensemble needs captioners: give at least one.")
        names = names or [f"captioner {number}" for number in range(1, len(self.captioners) + 1)]
        self._members = tuple(member for captioner in self.captioners for member in captioner.members)
        first, *further = (member.trained.vocabulary for member in self._members)
        for name, vocabulary in zip(names[1:], further, strict=True):
            if vocabulary != first:
                raise UsageError(
                    f"The vocabularies of {names[0]} and {name} differ: {_difference(first, vocabulary)}. An "
                    "ensemble needs one: train both on the same training split with the same text cleaners "
                    "and vocabulary.min_count, or start one from the other (--from, or fit(start=))."
                )
        begin, *more = ((member.composition.decoder.value, member.trained.model) for member in self._members)
        self._search = Search(*begin, *more)

    @property
    def members(self) -> tuple[Member, ...]:
        """The parts of each captioner, and what training had left when the ensemble was made."""
        return self._members

    @classmethod
    def load(cls, paths: Iterable[PathLike], *, registry: Registry | None = None) -> Ensemble:
        """Load run folders; see `capframe.Captioner.load`.

        Args:
            paths: the folders.
            registry: where names are looked up; by default everything that is installed.

        Raises:
            RunFolderError: something in a folder is missing or damaged.
            UnknownComponentError: a plugin is missing; names the package to install.
            UsageError: ``paths`` is one folder, not several, or their vocabularies differ.
        """
        if isinstance(paths, (str, os.PathLike)):
            raise UsageError("Ensemble.load() takes several run folders: put one in a list, [folder].")
        folders = [Path(path) for path in paths]
        registry = registry or Registry()
        captioners = [Captioner.load(folder, registry=registry) for folder in folders]
        return cls(captioners, names=[str(folder) for folder in folders])


def _difference(one: Vocabulary, other: Vocabulary) -> str:
    """Say how two vocabularies differ."""
    in_other, in_one = set(other.words), set(one.words)
    only = {
        "first": [word for word in one.words if word not in in_other],
        "second": [word for word in other.words if word not in in_one],
    }
    found = [
        f"only the {which} has {', '.join(map(repr, words[:SHOWN]))}{', ...' if len(words) > SHOWN else ''}"
        for which, words in only.items()
        if words
    ]
    return "; ".join(found) or "the same words in another order"
