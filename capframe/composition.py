"""From what a user writes (a name, a name with options, or a ready object) to components, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from .errors import RunFolderError, UnknownComponentError, UsageError
from .options import check_options
from .registry import Component, Kind, Registry, missing_members
from .training_options import TrainingOptions

Spec: TypeAlias = Any
"""A name, a ``(name, options)`` pair, or a ready object."""

DEFAULT_EXTRACTOR = "vgg16"
PARTS: dict[str, Kind] = {
    "feature_extractor": "feature_extractor",
    "text_cleaners": "text_cleaner",
    "decoder": "decoder",
    "callbacks": "callback",
}


class Composition:
    """The parts and options that make up a captioner.

    Args:
        registry: where names are looked up.
        feature_extractor: a spec, or None for the default one.
        text_cleaners: specs, in the order in which they are applied.
        decoder: a spec.
        callbacks: specs.
        vocabulary: options of the vocabulary.
        training: options of the training.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        feature_extractor: Spec | None,
        text_cleaners: Sequence[Spec],
        decoder: Spec,
        callbacks: Sequence[Spec],
        vocabulary: Mapping[str, Any],
        training: Mapping[str, Any],
    ) -> None:
        self.registry = registry
        self.extractor_is_chosen = feature_extractor is not None
        self._extractor_spec = DEFAULT_EXTRACTOR if feature_extractor is None else feature_extractor
        self._extractor: Component[Any] | None = None
        self.text_cleaners = compose_all(registry, "text_cleaner", text_cleaners)
        self.decoder = compose(registry, "decoder", decoder)
        self.callbacks = compose_all(registry, "callback", callbacks)
        self.vocabulary_options = check_options("vocabulary", _vocabulary_options, vocabulary)
        self.training_options = TrainingOptions(**check_options("training", TrainingOptions, training))
        for cleaner in self.text_cleaners:
            _ = cleaner.value  # a bad pattern is an error now, not after hours of extraction

    @property
    def feature_extractor(self) -> Component[Any]:
        """The extractor; composed when it is first asked for, because a feature store may name another."""
        if self._extractor is None:
            self._extractor = compose(self.registry, "feature_extractor", self._extractor_spec)
        return self._extractor

    def choose_extractor(self, spec: Spec) -> None:
        """Take ``spec`` for the feature extractor."""
        self._extractor_spec, self._extractor, self.extractor_is_chosen = spec, None, True

    def clean(self, captions: Iterable[str]) -> tuple[str, ...]:
        """Apply the text cleaners, in order, to each caption."""
        for cleaner in self.text_cleaners:
            captions = map(cleaner.value, captions)
        return tuple(captions)

    def describe(self) -> dict[str, Any]:
        """Return what ``config.json`` records of the composition."""
        return {
            "feature_extractor": describe(self.feature_extractor),
            "text_cleaners": [describe(cleaner) for cleaner in self.text_cleaners],
            "decoder": describe(self.decoder),
            "callbacks": [describe(callback) for callback in self.callbacks],
            "vocabulary": dict(self.vocabulary_options),
            "training": asdict(self.training_options),
        }


def compose(registry: Registry, kind: Kind, spec: Spec) -> Component[Any]:
    """Return the component that ``spec`` stands for.

    Raises:
        UnknownComponentError: nothing of that name is offered.
        OptionError: an option does not exist or has a wrong type.
        UsageError: ``spec`` is a pair of something else than a name and options, or an object that is
            no such component.
    """
    noun = kind.replace("_", " ")
    if isinstance(spec, str):
        return registry.create(kind, spec)
    if isinstance(spec, Component):
        return spec
    if isinstance(spec, (tuple, list)):
        if len(spec) != 2 or not isinstance(spec[0], str) or not isinstance(spec[1], Mapping):
            raise UsageError(f"{spec!r} is no {noun}: give a name, a pair (name, options), or an object.")
        return registry.create(kind, spec[0], spec[1])
    if isinstance(spec, type):
        raise UsageError(f"{spec.__qualname__} is a class: give an object of it, {spec.__qualname__}(...).")
    if lacking := missing_members(kind, spec):
        raise UsageError(f"{spec!r} is no {noun}: it lacks {lacking}. Give a name, or an object with these.")
    made_by = spec if hasattr(spec, "__qualname__") else type(spec)
    module = getattr(made_by, "__module__", "builtins")
    return Component(kind, f"{module}:{made_by.__qualname__}", lambda: spec)


def compose_all(registry: Registry, kind: Kind, specs: Iterable[Spec]) -> tuple[Component[Any], ...]:
    """Compose several components of one kind, in the order given; see `compose`."""
    if isinstance(specs, str):
        raise UsageError(f"{specs!r} is one name; give a list of them: [{specs!r}].")
    return tuple(compose(registry, kind, spec) for spec in specs)


def describe(component: Component[Any]) -> dict[str, Any]:
    """Return what a run folder records of a component: name, options and package, as JSON has them."""
    if component.plugin is None:
        return {"object": component.name}
    options = {key: _plain(value) for key, value in component.options.items()}
    package = {"package": component.plugin.distribution, "version": component.plugin.version}
    return {"name": component.name, "options": options, **package}


def recompose(registry: Registry, kind: Kind, record: Mapping[str, Any]) -> Component[Any]:
    """Return the component that a run folder records.

    Raises:
        UsageError: the record is of a ready-made object, which cannot be rebuilt from its name.
        UnknownComponentError: no installed plugin offers it; names the package that did.
        RunFolderError: the record is damaged.
    """
    noun = kind.replace("_", " ")
    if "object" in record:
        raise UsageError(
            f"This run used a ready-made {noun} ({record['object']}), which a run folder cannot rebuild. "
            f"Pass it to Captioner.load()."
        )
    try:
        return registry.create(kind, record["name"], record["options"])
    except KeyError as error:
        raise RunFolderError(
            f"The record of the {noun} lacks {error}: {record}. Copy the run anew."
        ) from None
    except UnknownComponentError as error:
        package = record.get("package")
        if not package:
            raise
        raise UnknownComponentError(
            f"This run needs the {noun} '{record['name']}' of the package '{package}' {record['version']}: "
            f"python -m pip install {package}. ({error})"
        ) from None


def recompose_all(
    registry: Registry, config: Mapping[str, Any], replacements: Mapping[str, Spec]
) -> dict[str, Any]:
    """Return the arguments of `Composition` that ``config.json`` records, with parts replaced by name."""

    def rebuilt(part: str) -> Any:
        kind, record = PARTS[part], config[part]
        if isinstance(record, list):
            return [recompose(registry, kind, one) for one in record]
        return recompose(registry, kind, record)

    unknown = [part for part in replacements if part not in PARTS]
    if unknown:
        raise UsageError(f"A captioner has no part '{unknown[0]}'; its parts: {', '.join(PARTS)}.")
    parts = {part: replacements[part] if part in replacements else rebuilt(part) for part in PARTS}
    return {**parts, "vocabulary": config["vocabulary"], "training": config["training"]}


def _vocabulary_options(min_count: int = 5) -> None:
    """The options of `Vocabulary.build`."""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
