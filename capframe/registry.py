"""Component names -> factories, over everything that the plugins of one manager offer."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, get_args

from .errors import CapframeError, PluginError, UnknownComponentError, did_you_mean
from .options import check_options
from .plugins import Plugin, PluginManager

if TYPE_CHECKING:
    import click

Kind = Literal["feature_extractor", "text_cleaner", "decoder", "callback", "dataset_reader", "metric"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of components, which have options and are built."""

Offered = Literal[Kind, "command", "captioner"]
"""Kinds of everything that plugins offer: commands and trained captioners are taken as they are."""

T = TypeVar("T")

_MEMBERS: dict[Kind, tuple[str, ...]] = {
    "feature_extractor": ("image_size", "feature_shape", "__call__"),
    "text_cleaner": ("__call__",),
    "decoder": ("build", "start", "step"),
    "callback": ("set_model", "on_epoch_end"),
    "dataset_reader": ("recognises", "read"),
    "metric": ("__call__",),
}


class Component(Generic[T]):
    """A component that was chosen, with what is needed to build it; it is built when it is first used.

    Attributes:
        kind: whether it is an extractor, a cleaner, a decoder, ...
        name: its registered name; for an object that was passed in ready-made, ``package.module:Class``.
        options: every option it is built with, defaults included.
        plugin: the plugin that offers it; None for a ready-made object.
    """

    def __init__(
        self,
        kind: Kind,
        name: str,
        build: Callable[[], T],
        options: Mapping[str, Any] | None = None,
        plugin: Plugin | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.build = build
        self.options = dict(options or {})
        self.plugin = plugin

    @cached_property
    def value(self) -> T:
        """The component itself; ``build()`` makes another one."""
        return self.build()

    def __repr__(self) -> str:
        return f"<{self.kind.replace('_', ' ')} {self.name!r} {self.options}>"


class Registry:
    """Looks components up by kind and name, and builds them.

    Args:
        plugins: the manager whose plugins are searched; by default a new one with all that is installed.
    """

    def __init__(self, plugins: PluginManager | None = None) -> None:
        self.plugins = PluginManager() if plugins is None else plugins

    def names(self, kind: Offered) -> list[str]:
        """Return the names on offer for one kind, sorted."""
        return sorted({name for _, offer in self._offers(kind) for name in offer})

    def plugin(self, kind: Offered, name: str) -> Plugin:
        """Return the plugin that offers ``name``.

        Raises:
            UnknownComponentError: no plugin offers the name, or more than one does.
        """
        owners = [plugin for plugin, offer in self._offers(kind) if name in offer]
        if len(owners) == 1:
            return owners[0]
        noun = kind.replace("_", " ")
        if owners:
            both = " and ".join(f"the {owner}" for owner in owners)
            disabled = " or ".join(
                f"'{owner.distribution or owner.name}'" for owner in owners if owner.external
            )
            raise UnknownComponentError(
                f"The {noun} '{name}' is offered twice, by {both}. Uninstall one of them, or disable "
                f"{disabled} in CAPFRAME_DISABLED_PLUGINS."
            )
        known = self.names(kind)
        message = f"No {noun} is named '{name}'.{did_you_mean(name, known)}"
        message += f" On offer: {', '.join(known) or 'none'}."
        for plugin in self.plugins.plugins:
            if plugin.status != "loaded":
                message += f" The {plugin} is {plugin.status} ({plugin.reason}) and may be what offers it."
        raise UnknownComponentError(message)

    def factory(self, kind: Offered, name: str) -> Callable[..., Any]:
        """Return the factory registered as ``name``, importing it if it was offered as a string.

        Raises:
            UnknownComponentError: see `plugin`.
            PluginError: the string names something that cannot be imported.
        """
        plugin = self.plugin(kind, name)
        target = plugin.offers[_hook(kind)][name]
        if not isinstance(target, str):
            return cast("Callable[..., Any]", target)
        module, _, attribute = target.partition(":")
        try:
            # As on loading a plugin: what it prints must not end up in output that others parse.
            with redirect_stdout(sys.stderr):
                found = getattr(importlib.import_module(module), attribute)
            if not callable(found):
                raise TypeError(f"it is no class or function, but {found!r}")
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"The {kind.replace('_', ' ')} '{name}' of the {plugin} cannot be imported from '{target}': "
                f"{type(error).__name__}: {error}. Update or reinstall that package."
            ) from error
        return cast("Callable[..., Any]", found)

    def create(self, kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> Component[Any]:
        """Choose the component ``name`` with ``options``; they are checked now, and it is built on use.

        Raises:
            UnknownComponentError: see `plugin`.
            OptionError: an option does not exist or has a wrong type.
            PluginError: the factory cannot be imported, or, on use, it fails.
        """
        factory = self.factory(kind, name)
        plugin = self.plugin(kind, name)
        owner = f"{kind.replace('_', ' ')} '{name}'"
        values = check_options(owner, factory, options or {})

        def build() -> Any:
            try:
                component = factory(**values)
            except CapframeError:
                raise
            except Exception as error:
                raise PluginError(
                    f"The {owner} of the {plugin} failed: {type(error).__name__}: {error}"
                ) from error
            if lacking := missing_members(kind, component):
                raise PluginError(f"The {owner} of the {plugin} is {component!r}, which lacks {lacking}.")
            return component

        return Component(kind, name, build, values, plugin)

    def command(self, name: str) -> click.Command:
        """Return the sub-command that a plugin offers as ``name``.

        Raises:
            UnknownComponentError: see `plugin`.
            PluginError: it cannot be imported, or is no click command.
        """
        import click

        found = self.factory("command", name)
        if not isinstance(found, click.Command):
            owner = self.plugin("command", name)
            raise PluginError(f"The command '{name}' of the {owner} is {found!r}, not a click command.")
        return found

    def captioner(self, name: str) -> Path:
        """Return the run folder that a plugin offers as ``name``.

        Raises:
            UnknownComponentError: see `plugin`.
            PluginError: the folder does not exist.
        """
        plugin = self.plugin("captioner", name)
        folder = Path(plugin.offers[_hook("captioner")][name])
        if not folder.is_dir():
            raise PluginError(
                f"The captioner '{name}' of the {plugin} should be in {folder}, and there is no such folder. "
                "Reinstall that package."
            )
        return folder

    def _offers(self, kind: Offered) -> list[tuple[Plugin, Mapping[str, Any]]]:
        hook = _hook(kind)
        return [(plugin, plugin.offers[hook]) for plugin in self.plugins.plugins if hook in plugin.offers]


def missing_members(kind: Kind, component: object) -> str:
    """Return which members of the kind's interface an object lacks, as text; empty if none."""
    return ", ".join(name for name in _MEMBERS[kind] if not hasattr(component, name))


def _hook(kind: Offered) -> str:
    return f"register_{kind}s"
