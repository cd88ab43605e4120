"""What a law is, and how one is held against a component."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..registry import Kind
from .subject import Subject

__all__ = [
    "BOOKS",
    "ConformanceError",
    "Law",
    "LawBook",
    "NotApplicable",
    "Subject",
    "laws_of",
    "require",
]

Held = Callable[[Subject], None]
HeldT = TypeVar("HeldT", bound=Held)

BOOKS: dict[Kind, str] = {
    "feature_extractor": "feature_extractors",
    "text_cleaner": "text_cleaners",
    "decoder": "decoders",
    "callback": "callbacks",
    "metric": "metrics",
    "dataset_reader": "dataset_readers",
}
"""Kind -> the module here that holds its `LawBook` under the name ``BOOK``."""

FIRST = "it-can-be-built"


class ConformanceError(AssertionError):
    """A component breaks a law of its kind."""


class NotApplicable(Exception):  # noqa: N818 - nothing is wrong
    """A law has nothing to say of this component; the message says why."""


@dataclass(frozen=True)
class Law:
    """One law.

    Attributes:
        name: its name, words joined by hyphens.
        statement: what it says of every component.
        advice: what the author of a component that breaks it should do.
        held: holds it against a component; raises if it is broken, `NotApplicable` where it says nothing.
    """

    name: str
    statement: str
    advice: str
    held: Held

    def check(self, subject: Subject) -> None:
        """Hold the law against a component.

        Raises:
            ConformanceError: the component breaks it; says what was seen and what to do.
            NotApplicable: the law has nothing to say of it.
        """
        if subject.fault and self.name != FIRST:
            raise NotApplicable(f"it cannot be built: {subject.fault}")
        try:
            self.held(subject)
        except NotApplicable:
            raise
        except Exception as error:
            seen = str(error) if isinstance(error, ConformanceError) else f"{type(error).__name__}: {error}"
            raise ConformanceError(
                f"The {subject.noun} '{subject.name}' breaks the law '{self.name}'.\n"
                f"  Law:  {self.statement}\n  Seen: {seen}\n  Do:   {self.advice}"
            ) from error


class LawBook:
    """The laws of one kind, in the order in which they are written.

    Args:
        outcome: uses a component in the way that the core does and returns what comes out: a string, an
            array, or a list of strings. Another process must get the same. None: the core makes
            components of this kind in its own process only.
    """

    def __init__(self, outcome: Callable[[Any], Any] | None = None) -> None:
        self.outcome = outcome
        self.laws: list[Law] = []

    def law(self, advice: str) -> Callable[[HeldT], HeldT]:
        """Make a law of a function: its name names the law, the first line of its docstring states it."""

        def enter(held: HeldT) -> HeldT:
            name = held.__name__.replace("_", "-")
            statement = (held.__doc__ or "").partition("\n")[0]
            self.laws.append(Law(name, statement, advice, held))
            return held

        return enter


def book_of(kind: Kind) -> LawBook:
    """Return the laws that only this kind has."""
    book: LawBook = importlib.import_module(f".{BOOKS[kind]}", __package__).BOOK
    return book


def laws_of(kind: Kind) -> tuple[Law, ...]:
    """Return the laws of a kind: those of all components first, then its own."""
    from .every_kind import BOOK

    return (*BOOK.laws, *book_of(kind).laws)


def require(holds: bool, seen: str) -> None:
    """Raise a `ConformanceError` that says what was ``seen`` unless the law ``holds``."""
    if not holds:
        raise ConformanceError(seen)
