from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capframe import PluginManager, Registry
from capframe.composition import compose, compose_all, describe, recompose
from capframe.errors import OptionError, UnknownComponentError, UsageError
from capframe.registry import Component

Offering = Callable[..., SimpleNamespace]
InstallPackage = Callable[..., None]

SUFFIX = """
from pathlib import Path
from capframe import hookimpl

class Suffix:
    def __init__(self, text: str = ".", shape: tuple[int, ...] = (1, 2), folder: Path = Path("a")) -> None:
        self.text, self.shape, self.folder = text, shape, folder
    def __call__(self, caption: str) -> str:
        return caption + self.text

@hookimpl
def register_text_cleaners():
    return {"suffix": Suffix}
"""


class Suffix:
    def __call__(self, caption: str) -> str:
        return caption + "."


def strip(caption: str) -> str:
    return caption.strip()


def test_a_name_stands_for_the_component_with_its_defaults(registry: Registry) -> None:
    component = compose(registry, "decoder", "add-merge")
    assert component.options["units"] == 256
    assert component.options["merge"] == "add"


@pytest.mark.parametrize("pair", [tuple, list])
def test_a_pair_is_a_name_with_options(registry: Registry, pair: Callable[..., Any]) -> None:
    component = compose(registry, "decoder", pair(["add-merge", {"units": 8}]))
    assert (component.name, component.options["units"]) == ("add-merge", 8)


@pytest.mark.parametrize(
    ("ready", "name"),
    [
        (Suffix(), f"{__name__}:Suffix"),
        (strip, f"{__name__}:strip"),
        (str.strip, "builtins:str.strip"),
        (Suffix().__call__, f"{__name__}:Suffix.__call__"),
    ],
)
def test_a_ready_object_is_taken_as_it_is(registry: Registry, ready: Any, name: str) -> None:
    component = compose(registry, "text_cleaner", ready)
    assert component.value is ready
    assert (component.name, component.plugin) == (name, None)
    assert describe(component) == {"object": name}


def test_a_component_that_was_composed_before_is_taken_as_it_is(registry: Registry) -> None:
    component = compose(registry, "text_cleaner", "regex")
    assert compose(registry, "text_cleaner", component) is component


@pytest.mark.parametrize(
    "spec", [(), ("regex",), ("regex", 5), (5, {}), ("regex", {}, {}), ["regex", "other"]]
)
def test_a_pair_of_other_things_is_refused(registry: Registry, spec: Any) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{spec!r} is no text cleaner: give a name")):
        compose(registry, "text_cleaner", spec)


@pytest.mark.parametrize(
    ("kind", "spec", "lacking"),
    [
        ("decoder", 42, "build, start, step"),
        ("decoder", None, "build, start, step"),
        ("text_cleaner", {"pattern": "x"}, "__call__"),
        ("feature_extractor", strip, "image_size, feature_shape"),
        ("callback", strip, "set_model, on_epoch_end"),
    ],
)
def test_an_object_that_is_no_such_component_is_refused(
    registry: Registry, kind: Any, spec: Any, lacking: str
) -> None:
    noun = kind.replace("_", " ")
    with pytest.raises(UsageError, match=re.escape(f"{spec!r} is no {noun}: it lacks {lacking}.")):
        compose(registry, kind, spec)


def test_a_class_in_place_of_an_object_is_refused(registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"Suffix is a class: give an object of it, Suffix\(...\)."):
        compose(registry, "text_cleaner", Suffix)


def test_several_are_composed_in_the_order_given(registry: Registry) -> None:
    cleaners = compose_all(registry, "text_cleaner", [strip, "regex", Suffix()])
    assert [cleaner.name for cleaner in cleaners] == [f"{__name__}:strip", "regex", f"{__name__}:Suffix"]
    assert compose_all(registry, "text_cleaner", []) == ()


def test_one_name_in_place_of_a_list_is_refused(registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"'regex' is one name; give a list of them: \['regex'\]"):
        compose_all(registry, "text_cleaner", "regex")


def test_what_a_run_folder_records_is_json_and_composes_the_same(install_package: InstallPackage) -> None:
    install_package("acme-text", {"acme": SUFFIX}, version="1.5")
    registry = Registry(PluginManager(strict=True))
    component = registry.create("text_cleaner", "suffix", {"shape": [3, 4], "folder": "b/c"})
    record = describe(component)
    assert record == {
        "name": "suffix",
        "options": {"text": ".", "shape": [3, 4], "folder": str(Path("b/c"))},
        "package": "acme-text",
        "version": "1.5",
    }
    again = recompose(registry, "text_cleaner", json.loads(json.dumps(record)))
    assert again.options == component.options == {"text": ".", "shape": (3, 4), "folder": Path("b/c")}
    assert isinstance(again, Component)


def test_a_missing_plugin_is_named_with_its_package(registry: Registry) -> None:
    record = {"name": "suffix", "options": {}, "package": "acme-text", "version": "1.5"}
    with pytest.raises(UnknownComponentError) as caught:
        recompose(registry, "text_cleaner", record)
    message = str(caught.value)
    assert "needs the text cleaner 'suffix' of the package 'acme-text' 1.5" in message
    assert "python -m pip install acme-text" in message


def test_a_missing_plugin_without_package_is_named_all_the_same(registry: Registry) -> None:
    record = {"name": "regexp", "options": {}, "package": "", "version": ""}
    with pytest.raises(
        UnknownComponentError, match=r"No text cleaner is named 'regexp'. Did you mean 'regex'"
    ):
        recompose(registry, "text_cleaner", record)


def test_a_ready_object_cannot_be_composed_from_its_record(registry: Registry) -> None:
    record = describe(compose(registry, "decoder", SimpleNamespace(build=1, start=2, step=3)))
    assert record == {"object": "types:SimpleNamespace"}
    with pytest.raises(UsageError, match=r"ready-made decoder \(types:SimpleNamespace\).*Captioner.load"):
        recompose(registry, "decoder", record)


def test_recorded_options_that_a_newer_plugin_does_not_have_are_refused(registry: Registry) -> None:
    record = {"name": "regex", "options": {"stem": True}, "package": "capframe", "version": "0.0.1"}
    with pytest.raises(OptionError, match="The text cleaner 'regex' has no option 'stem'"):
        recompose(registry, "text_cleaner", record)
