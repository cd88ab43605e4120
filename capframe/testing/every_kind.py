"""Laws of every kind of component: its options, and where it may be built."""

from __future__ import annotations

import inspect
import json
import pickle
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ..options import check_options, options_of
from .laws import LawBook, NotApplicable, Subject, book_of, require
from .processes import call_in_fresh_process

HEAVY = ("keras", "tensorflow", "torch", "jax", "sklearn")

BOOK = LawBook()


@BOOK.law(
    "See what was raised; give options that it needs: check_...(factory, option=value), or "
    "--capframe-option NAME.OPTION=VALUE."
)
def it_can_be_built(subject: Subject) -> None:
    """The factory makes, of its options, a component that has what its kind must have."""
    require(not subject.fault, subject.fault)


@BOOK.law("Import them inside the functions that compute, or offer the component as 'package.module:Class'.")
def nothing_heavy_is_imported_before_use(subject: Subject) -> None:
    """Loading the plugin that offers the component imports no framework that computes."""
    plugin = subject.plugin or _plugin_around(subject.factory)
    if not plugin:
        raise NotApplicable("the plugin that offers it is not known")
    heavy = _imported_with(plugin)
    require(not heavy, f"loading {plugin} imports {', '.join(heavy)}")


@BOOK.law("Annotate every argument of the constructor, and give it a default unless there can be none.")
def options_are_typed(subject: Subject) -> None:
    """Every option has a type."""
    parameters = inspect.signature(subject.target).parameters.values()
    untyped = [parameter.name for parameter in parameters if parameter.annotation is parameter.empty]
    require(not untyped, f"no annotation: {', '.join(untyped)}")


@BOOK.law("Describe each option under 'Args:' in the docstring of the class (or of its constructor).")
def options_are_documented(subject: Subject) -> None:
    """The docstring tells what every option is."""
    documented = (subject.target, getattr(subject.target, "__init__", None))
    text = "\n".join(inspect.getdoc(place) or "" for place in documented)
    _, _, told = text.partition("Args:\n")
    untold = [
        name for name in options_of(subject.target) if not re.search(rf"(?m)^\s+{name}\s*(\(.*\))?:", told)
    ]
    require(not untold, f"not described: {', '.join(untold)}")


@BOOK.law("Take options of plain types (numbers, text, lists and dicts of them), with defaults of that type.")
def options_survive_json(subject: Subject) -> None:
    """Options written to the config of a run folder and read back are the same options."""
    values = subject.values
    again = check_options(subject.name, subject.target, json.loads(json.dumps(values)))
    changed = [name for name, value in values.items() if again[name] != value]
    require(not changed, f"changed by writing and reading: {', '.join(changed)}")


@BOOK.law(
    "Define the class or function at the top of a module; let nothing depend on what happened before in "
    "the process, or on the order of a set."
)
def a_worker_process_builds_the_same(subject: Subject) -> None:
    """A worker process that is sent the factory and its options makes a component that does the same."""
    outcome = book_of(subject.kind).outcome
    if outcome is None:
        target, _ = pickle.loads(pickle.dumps((subject.target, subject.values)))
        require(target is subject.target, f"{subject.target!r} arrives as {target!r}")
        return
    here = outcome(subject.build())
    there = call_in_fresh_process(_outcome, outcome, subject.target, subject.values)
    require(_agree(here, there), f"{_shown(here)} here, and {_shown(there)} there")


def _outcome(outcome: Callable[[Any], Any], target: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    return outcome(target(**values))


def _agree(one: Any, other: Any) -> bool:
    if isinstance(one, (str, list)):
        return bool(one == other)
    from .arrays import TOLERANCE, relative_difference

    return relative_difference(one, other) <= TOLERANCE


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def _plugin_around(factory: Callable[..., Any] | str) -> str:
    """Return the module of a factory if it has hooks, and can be imported elsewhere."""
    name = factory.partition(":")[0] if isinstance(factory, str) else getattr(factory, "__module__", "")
    module = sys.modules.get(name)
    hooks = any(hasattr(value, "capframe_impl") for value in vars(module).values()) if module else False
    return name if hooks and name != "__main__" else ""


@cache
def _imported_with(plugin: str) -> list[str]:
    heavy: list[str] = call_in_fresh_process(_load, plugin, HEAVY)
    return heavy


def _load(plugin: str, heavy: tuple[str, ...]) -> list[str]:
    """Load a plugin as capframe does; return which heavy packages that imported."""
    from pkgutil import resolve_name

    from ..plugins import PluginManager

    before = set(sys.modules)
    PluginManager(installed=False).register(resolve_name(plugin), "checked")
    return [name for name in heavy if name in sys.modules and name not in before]
