"""Check a component against all laws of its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..registry import Kind
from .laws import NotApplicable, Subject, laws_of

Factory = Callable[..., Any] | str


def check(kind: Kind, factory: Factory, /, **options: Any) -> None:
    """Hold all laws of a kind against a component.

    Args:
        kind: its kind, such as ``"decoder"``.
        factory: the class or function that makes it, or the string ``"package.module:Class"``.
        **options: options it is made with.

    Raises:
        ConformanceError: it breaks a law; names the law, what was seen and what to do.
    """
    subject = Subject(kind, factory, options)
    for law in laws_of(kind):
        try:
            law.check(subject)
        except NotApplicable:
            continue


def check_feature_extractor(factory: Factory, /, **options: Any) -> None:
    """Check a feature extractor; see `check`."""
    check("feature_extractor", factory, **options)


def check_text_cleaner(factory: Factory, /, **options: Any) -> None:
    """Check a text cleaner; see `check`."""
    check("text_cleaner", factory, **options)


def check_decoder(factory: Factory, /, **options: Any) -> None:
    """Check a decoder, on a vector and on a grid of features; see `check`."""
    check("decoder", factory, **options)


def check_callback(factory: Factory, /, **options: Any) -> None:
    """Check a callback, in small training runs; see `check`."""
    check("callback", factory, **options)


def check_metric(factory: Factory, /, **options: Any) -> None:
    """Check a metric; see `check`."""
    check("metric", factory, **options)


def check_dataset_reader(factory: Factory, /, **options: Any) -> None:
    """Check a dataset reader; see `check`."""
    check("dataset_reader", factory, **options)
