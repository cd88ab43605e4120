"""Which parts and options a captioner is made of: from defaults, a TOML file and the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from ..errors import UsageError, did_you_mean
from ..recipes import recipe_table

KINDS = ("dataset_reader", "feature_extractor", "text_cleaner", "decoder", "vocabulary", "training")
AT_TOP = ("epochs", "batch_size", "seed")  # options of the training, for which a table would be a burden
PARTS = ("feature_extractor", "decoder", "dataset_reader")
KEYS = (*PARTS, "text_cleaners", "callbacks", "vocabulary", "training", *AT_TOP)


@dataclass
class Part:
    """A part by name (None: the default), and its options."""

    name: str | None
    options: dict[str, Any] = field(default_factory=dict)

    def rename(self, name: str | None) -> None:
        """Take another part; options that were meant for this one are none of its business."""
        if name != self.name:
            self.name, self.options = name, {}


def _parts(names: Iterable[str]) -> list[Part]:
    return [Part(name) for name in names]


@dataclass
class Settings:
    """The parts of a captioner, and the options of vocabulary and training."""

    dataset_reader: Part = field(default_factory=lambda: Part(None))
    feature_extractor: Part = field(default_factory=lambda: Part(None))
    text_cleaners: list[Part] = field(default_factory=lambda: _parts(["regex"]))
    decoder: Part = field(default_factory=lambda: Part("add-merge"))
    callbacks: list[Part] = field(
        default_factory=lambda: _parts(["checkpoint", "early-stopping", "reduce-lr"])
    )
    vocabulary: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_recipe(cls, name: str) -> Settings:
        """Return the settings of a recipe, see `capframe.recipes`."""
        settings = cls()
        settings.update(recipe_table(name), f"recipe {name}")
        return settings

    @classmethod
    def read(cls, path: Path, base: Settings | None = None) -> Settings:
        """Read a TOML file; what it does not mention is as in ``base``, or has its default.

        Raises:
            UsageError: it is not TOML, or holds an unknown key or a value of a wrong form; names the file.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read as TOML: {error}.") from None
        settings = base or cls()
        settings.update(table, path)
        return settings

    def update(self, table: Mapping[str, Any], source: Path | str) -> None:
        """Take what ``table`` says, in the form of a configuration file.

        Raises:
            UsageError: it holds an unknown key or a value of a wrong form; names ``source``.
        """
        for key, value in table.items():
            if key not in KEYS:
                raise UsageError(
                    f"{source}: unknown key '{key}'.{did_you_mean(key, KEYS)} The keys: {', '.join(KEYS)}."
                )
            if key in PARTS:
                part: Part = getattr(self, key)
                read = _read_part(source, key, value, part.name)
                part.rename(read.name)
                part.options.update(read.options)
            elif key in ("text_cleaners", "callbacks"):
                if not isinstance(value, list):
                    raise UsageError(f"{source}: {key} is a list of names or tables, not {value!r}.")
                setattr(self, key, [_read_part(source, key, one, None) for one in value])
            elif key in AT_TOP:
                if key in table.get("training", {}):
                    raise UsageError(f"{source}: {key} is given twice, at the top and in [training].")
                self.training[key] = value
            elif not isinstance(value, dict):
                raise UsageError(f"{source}: [{key}] is a table of options, not {value!r}.")
            else:
                getattr(self, key).update(value)

    def take_run(self, config: Mapping[str, Any], folder: Path) -> None:
        """Take extractor, cleaners and decoder of the run in ``folder``, whose ``config.json`` is ``config``.

        Raises:
            UsageError: one of them was a ready-made object.
        """

        def part(record: Mapping[str, Any]) -> Part:
            if "object" in record:
                raise UsageError(
                    f"{folder} used a ready-made {record['object']}, which no name stands for: start from it "
                    "in Python, fit(start=...)."
                )
            return Part(record["name"], dict(record["options"]))

        self.feature_extractor = part(config["feature_extractor"])
        self.text_cleaners = [part(record) for record in config["text_cleaners"]]
        self.decoder = part(config["decoder"])

    def choose(
        self,
        feature_extractor: str | None = None,
        text_cleaners: Sequence[str] = (),
        decoder: str | None = None,
        callbacks: Sequence[str] = (),
        dataset_reader: str | None = None,
    ) -> None:
        """Replace parts by those named on the command line; of a part that stays, the options stay."""
        if dataset_reader:
            self.dataset_reader.rename(dataset_reader)
        if feature_extractor:
            self.feature_extractor.rename(feature_extractor)
        if decoder:
            self.decoder.rename(decoder)
        if text_cleaners:
            self.text_cleaners = _chosen(self.text_cleaners, text_cleaners)
        if callbacks:
            self.callbacks = _chosen(self.callbacks, callbacks)

    def assign(self, assignment: str) -> None:
        """Apply one ``KIND.OPTION=VALUE``.

        Raises:
            UsageError: it has another form, or KIND is nothing that this captioner has.
        """
        target, equals, value = assignment.partition("=")
        kind, dot, option = target.strip().partition(".")
        if not (equals and dot and kind and option):
            raise UsageError(
                f"--set {assignment} is not of the form KIND.OPTION=VALUE, for instance "
                f"--set decoder.units=512. KIND is {', '.join(self._kinds())}."
            )
        self._options_of(kind, assignment)[option] = value

    @property
    def reader(self) -> tuple[str, dict[str, Any]] | None:
        """The dataset reader with its options; None for the one that recognises the file.

        Raises:
            UsageError: there are options, but of no reader.
        """
        reader = self.dataset_reader
        if reader.name is None and reader.options:
            raise UsageError(
                f"dataset_reader.{next(iter(reader.options))}: an option of which reader? Name it, with "
                "--dataset-reader NAME."
            )
        return None if reader.name is None else (reader.name, reader.options)

    def _kinds(self) -> list[str]:
        names = [part.name or "" for part in (*self.text_cleaners, *self.callbacks)]
        return list(dict.fromkeys([*KINDS, *names]))

    def _options_of(self, kind: str, assignment: str) -> dict[str, Any]:
        if kind in ("vocabulary", "training"):
            options: dict[str, Any] = getattr(self, kind)
            return options
        if kind in PARTS:
            part: Part = getattr(self, kind)
            return part.options
        named = [part for part in (*self.text_cleaners, *self.callbacks) if part.name == kind]
        candidates = self.text_cleaners if kind == "text_cleaner" else named
        if len(candidates) == 1:
            return candidates[0].options
        if kind == "text_cleaner" or candidates:
            names = ", ".join(part.name or "" for part in candidates) or "none"
            raise UsageError(
                f"--set {assignment}: '{kind}' does not say which of these is meant: {names}. Write the name "
                "of a text cleaner in place of KIND, or a table for each in a file (--config)."
            )
        known = self._kinds()
        raise UsageError(
            f"--set {assignment}: this captioner has no '{kind}'.{did_you_mean(kind, known)} "
            f"KIND is {', '.join(known)}; callbacks and text cleaners are chosen with --callback and "
            "--text-cleaner."
        )


def reader_of(name: str | None, assignments: Iterable[str]) -> tuple[str, dict[str, Any]] | None:
    """Return the dataset reader that ``--dataset-reader`` and ``--set`` choose, see `Settings.reader`.

    Raises:
        UsageError: an assignment is to something else, or there is no reader to take it.
    """
    settings = Settings(text_cleaners=[], callbacks=[])
    settings.choose(dataset_reader=name)
    for assignment in assignments:
        if not assignment.startswith("dataset_reader."):
            raise UsageError(f"--set {assignment}: here only dataset_reader.OPTION=VALUE can be set.")
        settings.assign(assignment)
    return settings.reader


def _chosen(parts: list[Part], names: Sequence[str]) -> list[Part]:
    options = {part.name: part.options for part in parts}
    return [Part(name, dict(options.get(name, {}))) for name in names]


def _read_part(source: Path | str, key: str, value: object, default: str | None) -> Part:
    if isinstance(value, str):
        return Part(value)
    if isinstance(value, dict):
        options = dict(value)
        name = options.pop("name", default)
        if isinstance(name, str) or (name is None and key in ("feature_extractor", "dataset_reader")):
            return Part(name, options)
    raise UsageError(f"{source}: {key} needs a name, or a table with the key 'name'; not {value!r}.")
