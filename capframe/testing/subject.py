"""The component that is checked: how it is made, and of what."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from ..options import check_options
from ..registry import Kind, missing_members

T = TypeVar("T")


@dataclass
class Subject:
    """A component that is held against the laws of its kind.

    Attributes:
        kind: its kind.
        factory: the class or function that makes it, or the string ``"package.module:Class"``.
        options: options it is made with; text is read as on the command line.
        name: what messages call it.
        plugin: ``"package.module"`` or ``"package.module:object"``, the plugin that offers it. Where it
            is not given, the module of the factory, if that holds hooks.
    """

    kind: Kind
    factory: Callable[..., Any] | str
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    plugin: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            named = self.factory if isinstance(self.factory, str) else repr(self.factory)
            self.name = getattr(self.factory, "__qualname__", named)
        self._kept: dict[Callable[[Subject], Any], Any] = {}

    @property
    def noun(self) -> str:
        """What messages call its kind: ``feature extractor``."""
        return self.kind.replace("_", " ")

    @cached_property
    def target(self) -> Callable[..., Any]:
        """The class or function itself."""
        if not isinstance(self.factory, str):
            return self.factory
        module, _, attribute = self.factory.partition(":")
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        return found

    @cached_property
    def values(self) -> dict[str, Any]:
        """Every option, defaults filled in."""
        return check_options(f"{self.noun} '{self.name}'", self.target, self.options)

    def build(self) -> Any:
        """Make a component.

        Raises:
            TypeError: what comes out lacks something that its kind must have.
            Exception: whatever the factory raises.
        """
        # A constructor that changes its options in place must not change those of the next one.
        component = self.target(**copy.deepcopy(self.values))
        if lacking := missing_members(self.kind, component):
            raise TypeError(f"{component!r} lacks {lacking}")
        return component

    @cached_property
    def component(self) -> Any:
        """One component, shared by the laws that leave it as it is."""
        return self.build()

    @cached_property
    def fault(self) -> str:
        """Why the component cannot be made; empty if it can."""
        try:
            _ = self.component
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def once(self, observe: Callable[[Subject], T]) -> T:
        """Return what ``observe`` sees of this component; laws that need the same share what it costs."""
        if observe not in self._kept:
            self._kept[observe] = observe(self)
        kept: T = self._kept[observe]
        return kept
