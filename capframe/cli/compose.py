"""From settings, or a run folder, to a captioner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CapframeError
from .quiet import import_tensorflow
from .settings import Settings

if TYPE_CHECKING:
    from ..captioner import Captioner
    from ..captioning import Captioning
    from ..registry import Registry


def compose(settings: Settings, registry: Registry, config: Path | None = None) -> Captioner:
    """Make the captioner; an error that the file ``config`` makes by itself names that file.

    Raises:
        CapframeError: a part or an option does not exist, or an option has a wrong type.
    """
    import_tensorflow()
    try:
        return _composed(settings, registry)
    except CapframeError as error:
        if config is not None:
            try:
                _composed(Settings.read(config), registry)
            except CapframeError as same:
                if str(same) == str(error):
                    raise type(error)(f"{config}: {error}") from error
        raise


def keep_extractor_of(store: Path, settings: Settings) -> None:
    """Take the extractor that filled ``store``, if it exists and no other one is asked for."""
    from ..features import FeatureStore

    extractor = settings.feature_extractor
    if extractor.name is None and FeatureStore.exists(store):
        source = FeatureStore(store).source
        extractor.name, extractor.options = source.extractor, {**source.options, **extractor.options}


def load(run_folders: Sequence[Path], registry: Registry) -> Captioning:
    """Load a run folder, or several as an ensemble; see `capframe.Captioner.load`."""
    from ..captioner import Captioner
    from ..ensemble import Ensemble

    import_tensorflow()
    if len(run_folders) == 1:
        return Captioner.load(run_folders[0], registry=registry)
    return Ensemble.load(run_folders, registry=registry)


def _composed(settings: Settings, registry: Registry) -> Captioner:
    from ..captioner import Captioner
    from ..composition import DEFAULT_EXTRACTOR

    extractor = settings.feature_extractor
    return Captioner(
        (extractor.name or DEFAULT_EXTRACTOR, extractor.options),
        [(cleaner.name, cleaner.options) for cleaner in settings.text_cleaners],
        (settings.decoder.name, settings.decoder.options),
        [(callback.name, callback.options) for callback in settings.callbacks],
        vocabulary=settings.vocabulary,
        training=settings.training,
        registry=registry,
    )
