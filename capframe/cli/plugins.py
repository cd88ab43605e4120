"""``capframe plugins``: what is installed, what it offers, and what is broken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .group import registry_of
from .quiet import quiet_imports

if TYPE_CHECKING:
    from ..plugins import Plugin
    from ..registry import Kind, Registry


class _Lazy(click.Group):
    """Imports `new` when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["new"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "new":
            return None
        from .new_plugin import new

        return new


_COLUMNS = ("plugin", "package", "version", "status", "offers")


@click.group(cls=_Lazy, invoke_without_command=True, short_help="List the installed plugins; make a new one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--options", "component", metavar="NAME", help="Print the options of the part called NAME instead."
)
@click.pass_context
def plugins(ctx: click.Context, as_json: bool, component: str | None) -> None:
    """List the installed plugins and the parts they offer; `plugins new` makes a package to begin with."""
    if ctx.invoked_subcommand is not None:
        return
    registry = registry_of(ctx)
    if component is not None:
        described = _options(registry, component)
        click.echo(_json(described) if as_json else "\n\n".join(map(_option_text, described)))
        return
    found = registry.plugins.plugins
    click.echo(_json([_record(plugin) for plugin in found]) if as_json else _table(found))


def _record(plugin: Plugin) -> dict[str, Any]:
    offers = {hook.removeprefix("register_"): sorted(offer) for hook, offer in plugin.offers.items()}
    return {
        "plugin": plugin.name,
        "package": plugin.distribution,
        "version": plugin.version,
        "status": plugin.status,
        "reason": plugin.reason,
        "offers": offers,
    }


def _table(found: tuple[Plugin, ...]) -> str:
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for plugin in found:
        record = _record(plugin)
        offers = "; ".join(
            f"{kind.replace('_', ' ')}: {', '.join(names)}" for kind, names in record["offers"].items()
        )
        cells = (record[column] or "-" for column in _COLUMNS[:-1])
        rows.append((*cells, offers or record["reason"]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _options(registry: Registry, name: str) -> list[dict[str, Any]]:
    """Describe each part of this name; two kinds may share one."""
    from ..errors import UnknownComponentError, did_you_mean
    from ..options import REQUIRED, options_of
    from ..registry import KINDS

    kinds = [kind for kind in KINDS if name in registry.names(kind)]
    if not kinds:
        known = sorted({known for kind in KINDS for known in registry.names(kind)})
        raise UnknownComponentError(
            f"No part is named '{name}'.{did_you_mean(name, known)} On offer: {', '.join(known)}."
        )

    def described(kind: Kind) -> dict[str, Any]:
        import inspect

        with quiet_imports():
            factory = registry.factory(kind, name)
        text, _, _ = (inspect.getdoc(factory) or "").partition("\nRaises:\n")
        options = [
            {"option": option.name, "shown": str(option)}
            | ({} if option.default is REQUIRED else {"default": option.default})
            for option in options_of(factory).values()
        ]
        return {"name": name, "kind": kind, "options": options, "help": text.rstrip()}

    return [described(kind) for kind in kinds]


def _option_text(described: dict[str, Any]) -> str:
    options = "\n".join(f"  {option['shown']}" for option in described["options"]) or "  none"
    title = f"{described['kind'].replace('_', ' ')} {described['name']}"
    return f"{title}\n\n{described['help']}\n\nOptions:\n{options}"


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
