"""capframe: train, compare and use image captioners; every part is a plugin."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .captioner import Captioner
    from .dataset import Dataset
    from .ensemble import Ensemble
    from .errors import CapframeError
    from .features import FeatureStore
    from .hookspecs import hookimpl
    from .interfaces import CaptionSample, Decoder, FeatureExtractor, TextCleaner
    from .plugins import PluginManager
    from .registry import Registry
    from .vocabulary import Vocabulary

_HOMES = {
    "Captioner": "captioner",
    "CapframeError": "errors",
    "CaptionSample": "interfaces",
    "Dataset": "dataset",
    "Decoder": "interfaces",
    "Ensemble": "ensemble",
    "FeatureExtractor": "interfaces",
    "FeatureStore": "features",
    "PluginManager": "plugins",
    "Registry": "registry",
    "TextCleaner": "interfaces",
    "Vocabulary": "vocabulary",
    "hookimpl": "hookspecs",
}

__all__ = [
    "CapframeError",
    "CaptionSample",
    "Captioner",
    "Dataset",
    "Decoder",
    "Ensemble",
    "FeatureExtractor",
    "FeatureStore",
    "PluginManager",
    "Registry",
    "TextCleaner",
    "Vocabulary",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that ``import capframe`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'capframe' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
