"""PluginManager: find plugins by their entry points, load them one by one, and say how each one fared.

One broken third-party plugin must never take the others, or the command line, down with it: it is
warned of once, listed as broken with the reason, and named in look-ups that fail. A manager is
created and passed on; two of them in one process share nothing.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

import pluggy

from . import hookspecs
from .errors import PluginError, did_you_mean

DISABLED_VARIABLE = "CAPFRAME_DISABLED_PLUGINS"
CORE_DISTRIBUTION = "capframe"

Status = Literal["loaded", "broken", "disabled"]
Target = Any
"""What a hook offers under a name: a class or function, or the string ``"package.module:Class"``."""


class PluginWarning(UserWarning):
    """A plugin was left out because it is broken."""


@dataclass(frozen=True)
class Plugin:
    """One plugin: where it comes from, whether it could be loaded, and what it offers.

    Attributes:
        name: name of its entry point, or the name under which it was registered.
        distribution: the installed package that announces it; empty for one registered from Python.
        version: version of that package.
        status: ``loaded``, ``broken`` or ``disabled``.
        reason: why it is broken or disabled; empty otherwise.
        offers: hook name -> {component name: target}.
    """

    name: str
    distribution: str = ""
    version: str = ""
    status: Status = "loaded"
    reason: str = ""
    offers: Mapping[str, Mapping[str, Target]] = field(default_factory=dict)

    @property
    def external(self) -> bool:
        """Whether it comes from elsewhere than capframe's own distribution."""
        return self.distribution != CORE_DISTRIBUTION

    def __str__(self) -> str:
        package = f"package '{self.distribution}' {self.version}" if self.distribution else "no package"
        return f"plugin '{self.name}' ({package})"


class PluginManager:
    """Holds the plugins of one session.

    Args:
        strict: raise on the first broken plugin instead of warning.
        disabled: names of plugins or distributions that are not even imported; ``*`` stands for every
            external one. Default: the environment variable ``CAPFRAME_DISABLED_PLUGINS``
            (separated by commas).
        installed: load the installed plugins; turn off to start from nothing.

    Raises:
        PluginError: a default plugin is broken, or any plugin in strict mode.
    """

    def __init__(
        self, *, strict: bool = False, disabled: set[str] | None = None, installed: bool = True
    ) -> None:
        self.strict = strict
        self.disabled = _disabled_by_environment() if disabled is None else set(disabled)
        self._plugins: list[Plugin] = []
        self._pluggy = pluggy.PluginManager(hookspecs.ENTRY_POINT_GROUP)
        self._pluggy.add_hookspecs(hookspecs)
        self.hooks = sorted(name for name in vars(hookspecs) if name.startswith("register_"))
        if installed:
            for entry_point in _installed_entry_points():
                self._load(entry_point)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every plugin that was seen, whatever became of it, in the order of loading."""
        return tuple(self._plugins)

    def register(self, namespace: object, name: str) -> Plugin:
        """Register a plugin from Python: a module or object with hook functions.

        Raises:
            PluginError: it breaks the rules of the hooks, or its name is taken.
        """
        if any(plugin.name == name and plugin.status == "loaded" for plugin in self._plugins):
            raise PluginError(f"A plugin named '{name}' is registered already; give this one another name.")
        try:
            plugin = self._admit(namespace, Plugin(name))
        except PluginError as error:
            raise PluginError(f"The plugin '{name}' is broken: {error}") from error
        self._plugins.append(plugin)
        return plugin

    def _load(self, entry_point: EntryPoint) -> None:
        plugin = Plugin(entry_point.name, *_package(entry_point))
        disabled = [
            name
            for name in sorted(self.disabled)
            if name in ("*", plugin.name) or _canonical(name) == _canonical(plugin.distribution)
        ]
        if plugin.external and disabled:
            reason = f"'{disabled[0]}' is among the disabled plugins ({DISABLED_VARIABLE})"
            self._plugins.append(replace(plugin, status="disabled", reason=reason))
            return
        try:
            # What a plugin prints on import must not end up in output that others parse.
            with redirect_stdout(sys.stderr):
                plugin = self._admit(entry_point.load(), plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            plugin = replace(plugin, status="broken", reason=reason)
            if self.strict or not plugin.external:
                raise PluginError(f"The {plugin} is broken: {reason}") from error
            warnings.warn(
                f"The {plugin} is broken and was left out: {reason}. Update or uninstall it, or set "
                f"{DISABLED_VARIABLE}={plugin.name} to silence this.",
                PluginWarning,
                stacklevel=3,
            )
        self._plugins.append(plugin)

    def _admit(self, namespace: object, plugin: Plugin) -> Plugin:
        """Register with pluggy, collect what the plugin offers, and roll back if it breaks a rule."""
        if namespace in [known for _, known in self._pluggy.list_name_plugin()]:
            raise PluginError("it is registered already, under another name")
        # The names of entry points are unique within a distribution only.
        key = f"{plugin.distribution}:{plugin.name}"
        try:
            self._pluggy.register(namespace, key)
            return replace(plugin, offers=self._collect(namespace))
        except BaseException as error:
            # pluggy 1.6 keeps a plugin that it rejects, 1.7 does not.
            if self._pluggy.has_plugin(key):
                self._pluggy.unregister(name=key)
            if isinstance(error, pluggy.PluginValidationError):
                raise PluginError(" ".join(str(error).split())) from error
            raise

    def _collect(self, namespace: object) -> dict[str, dict[str, Target]]:
        offers: dict[str, dict[str, Target]] = {}
        for caller in self._pluggy.get_hookcallers(namespace) or []:
            if caller.name not in self.hooks:
                close = did_you_mean(caller.name, self.hooks)
                raise PluginError(f"unknown hook '{caller.name}'.{close} The hooks: {', '.join(self.hooks)}")
            for implementation in (i for i in caller.get_hookimpls() if i.plugin is namespace):
                if implementation.hookwrapper or implementation.wrapper:
                    raise PluginError(f"the hook '{caller.name}' is a wrapper; it must return its offer")
                offer = _checked_offer(caller.name, _called(caller.name, implementation.function))
                twice = offers.setdefault(caller.name, {}).keys() & offer.keys()
                if twice:
                    raise PluginError(f"the hook '{caller.name}' offers '{min(twice)}' twice")
                offers[caller.name].update(offer)
        # An unmarked hook would otherwise be passed over without a word.
        unmarked = [name for name in self.hooks if name not in offers and hasattr(namespace, name)]
        if unmarked:
            raise PluginError(f"'{unmarked[0]}' is not marked with @capframe.hookimpl")
        if not offers:
            raise PluginError("it has no hooks; see the docs, 'Writing a plugin'")
        return offers


def _called(hook: str, function: Callable[[], object]) -> object:
    try:
        return function()
    except Exception as error:
        raise PluginError(f"the hook '{hook}' raised {type(error).__name__}: {error}") from error


def _checked_offer(hook: str, offer: object) -> dict[str, Target]:
    if not isinstance(offer, Mapping):
        raise PluginError(f"the hook '{hook}' must return {{name: factory}}, not {type(offer).__name__}")
    for name, target in offer.items():
        if not isinstance(name, str) or not name:
            raise PluginError(f"the hook '{hook}' offers the name {name!r}; names are non-empty strings")
        if hook == "register_captioners":
            if not isinstance(target, os.PathLike):
                raise PluginError(
                    f"the hook '{hook}' offers {target!r} as '{name}'; it must be a pathlib.Path"
                )
            continue
        written = isinstance(target, str) and target.count(":") == 1
        if not written and not callable(target):
            raise PluginError(
                f"the hook '{hook}' offers {target!r} as '{name}'; it must be a class, a function, or a "
                'string of the form "package.module:Class"'
            )
    return dict(offer)


def _disabled_by_environment() -> set[str]:
    return {name.strip() for name in os.environ.get(DISABLED_VARIABLE, "").split(",") if name.strip()}


def _installed_entry_points() -> list[EntryPoint]:
    """Entry points of the group, capframe's own first, then by distribution and name."""

    def order(entry_point: EntryPoint) -> tuple[bool, str, str]:
        distribution, _ = _package(entry_point)
        return distribution != CORE_DISTRIBUTION, distribution, entry_point.name

    return sorted(entry_points(group=hookspecs.ENTRY_POINT_GROUP), key=order)


def _package(entry_point: EntryPoint) -> tuple[str, str]:
    """Return name and version of the distribution; empty where its metadata are gone or damaged."""
    if entry_point.dist is None:
        return "", ""
    fields: Any = entry_point.dist.metadata
    return fields.get("Name") or "", fields.get("Version") or ""


def _canonical(distribution: str) -> str:
    """Return the name as package indexes compare it (PEP 503): ``My_Plugin`` is ``my-plugin``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
