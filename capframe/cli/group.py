"""The group of commands: loads them when they are asked for, and turns errors into messages."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

import click

from ..errors import CapframeError, PluginError, did_you_mean

if TYPE_CHECKING:
    from ..registry import Registry

COMMANDS = ("quickstart", "extract", "features", "train", "caption", "evaluate", "score", "plugins")
INTERRUPTED = 130  # what shells report for a process that Ctrl-C ended

_KEPT = "capframe.kept"


class CommandGroup(click.Group):
    """Commands of ``capframe``, each in the module of its name, and those that plugins offer."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a newcomer meets them; those of plugins come last."""
        return [*COMMANDS, *(name for name in registry_of(ctx).names("command") if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module, or ask the plugin that offers it; None for an unknown name."""
        if cmd_name not in COMMANDS:
            registry = registry_of(ctx)
            return _command_of_plugin(registry, cmd_name) if cmd_name in registry.names("command") else None
        module = importlib.import_module(f".{cmd_name}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is a usage error that says what is close."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            known = self.list_commands(ctx)
            if name not in known:
                close = did_you_mean(name, known)
                raise click.UsageError(
                    f"No such command '{name}'.{close} The commands: {', '.join(known)}.", ctx
                )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a user's mistake is one message and status 1, Ctrl-C is status 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            kept = ctx.meta.get(_KEPT, "nothing yet. Type the same command again to start over.")
            click.echo(f"\nInterrupted; what was finished is kept: {kept}", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            raise  # click ends quietly when a reader such as head has seen enough
        except (CapframeError, OSError) as error:
            if ctx.params["debug"]:
                raise
            raise click.ClickException(str(error)) from error


def _command_of_plugin(registry: Registry, name: str) -> click.Command:
    """Return a plugin's command; one that cannot be loaded says so when it is run."""
    try:
        return registry.command(name)
    except PluginError as error:
        reason = str(error)

    def fail(args: tuple[str, ...]) -> None:
        raise PluginError(reason)

    return click.Command(
        name,
        callback=fail,
        params=[click.Argument(["args"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        short_help="(broken: run it to see why)",
        help=reason,
    )


def keep_when_interrupted(kept: str) -> None:
    """Say what Ctrl-C leaves behind from now on, and how to go on."""
    click.get_current_context().meta[_KEPT] = kept


def remark(text: str) -> None:
    """Write a line to stderr, which keeps stdout for results."""
    click.echo(text, err=True)


def registry_of(ctx: click.Context) -> Registry:
    """Return the registry in the context's object, or one over all installed plugins.

    Broken plugins are warned of in a line each.
    """
    from ..registry import Registry

    root = ctx.find_root()
    if root.obj is None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            root.obj = Registry()
        for warning in caught:
            if issubclass(warning.category, UserWarning):
                remark(f"Warning: {warning.message}")
    registry: Registry = root.obj
    return registry
