"""The errors of capframe: one root, and a child for each place that a user can mend.

Every message names the thing, the place (file and line, plugin, option) and the next step.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class CapframeError(Exception):
    """Root of all errors that capframe raises for a mistake that its user can mend."""


class UsageError(CapframeError):
    """Arguments that do not go together, or a value out of its range."""


class PluginError(CapframeError):
    """A plugin that cannot be loaded, or that breaks the rules of the hooks."""


class UnknownComponentError(PluginError):
    """A component name that no installed plugin offers, or that two of them offer."""


class OptionError(CapframeError):
    """An option that a component does not have, or a value of the wrong type."""


class DatasetError(CapframeError):
    """A caption file, split file or picture folder that cannot be read as such."""


class ImageError(CapframeError):
    """A picture file that cannot be decoded."""


class FeatureStoreError(CapframeError):
    """A feature store that is broken, or that was filled in another way."""


class VocabularyError(CapframeError):
    """A vocabulary file that cannot be read, or captions that hold no words."""


class TrainingError(CapframeError):
    """A training run that cannot start or go on."""


class RunFolderError(CapframeError):
    """A run folder that is incomplete, corrupted, or in the way."""


class ScoringError(CapframeError):
    """References and hypotheses that cannot be scored against each other."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` (with a leading space) for a close known word, else an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
