"""The hooks of capframe. This is the first page to read; ``interfaces.py`` is the second.

A plugin is a module (or object) with one or more of these functions, marked with
``@capframe.hookimpl`` and announced by an entry point of the group ``capframe``. A hook takes
nothing and returns ``{name: factory}``. ``factory(**options)`` builds the component. The factory is
the class itself or the string ``"package.module:Class"``, which is imported when it is first used.
(Of a command the factory is the click command, and of a trained captioner its folder.)
Installing a plugin offers names; composing selects them: the order of hooks never matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    import click

    from .interfaces import DatasetReader, Decoder, FeatureExtractor, Metric, TextCleaner

ENTRY_POINT_GROUP = "capframe"

hookspec = pluggy.HookspecMarker(ENTRY_POINT_GROUP)
hookimpl = pluggy.HookimplMarker(ENTRY_POINT_GROUP)

KerasCallback: TypeAlias = Any
"""A ``keras.callbacks.Callback``; not named here, because naming it would import TensorFlow."""


@hookspec
def register_feature_extractors() -> Mapping[str, Callable[..., FeatureExtractor] | str]:  # type: ignore[empty-body]
    """Offer feature extractors: pictures in, one float32 array per picture out."""


@hookspec
def register_text_cleaners() -> Mapping[str, Callable[..., TextCleaner] | str]:  # type: ignore[empty-body]
    """Offer text cleaners: a caption in, a clean caption out."""


@hookspec
def register_decoders() -> Mapping[str, Callable[..., Decoder] | str]:  # type: ignore[empty-body]
    """Offer decoders: networks that predict the next word from picture features and earlier words."""


@hookspec
def register_callbacks() -> Mapping[str, Callable[..., KerasCallback] | str]:  # type: ignore[empty-body]
    """Offer Keras callbacks, called while a captioner is trained."""


@hookspec
def register_dataset_readers() -> Mapping[str, Callable[..., DatasetReader] | str]:  # type: ignore[empty-body]
    """Offer dataset readers: a caption file of some format in, captions by picture name out."""


@hookspec
def register_metrics() -> Mapping[str, Callable[..., Metric] | str]:  # type: ignore[empty-body]
    """Offer metrics: captions and their references in, a score and a score of each picture out."""


@hookspec
def register_commands() -> Mapping[str, click.Command | str]:  # type: ignore[empty-body]
    """Offer sub-commands of ``capframe``, as click commands; the name is what users type."""


@hookspec
def register_captioners() -> Mapping[str, Path]:  # type: ignore[empty-body]
    """Offer trained captioners: run folders that a package ships, found by name where a run is asked for."""
