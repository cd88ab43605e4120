"""The command-line reference, made from the commands themselves when the site is built.

mkdocs calls `on_page_markdown` for each page. Only ``capframe.cli`` is imported: it needs click and pluggy.
"""

from __future__ import annotations

import html
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

PLACE = "<!-- the commands -->"
CHECKOUT = Path(__file__).parents[2]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the reference where the page has a place for it."""
    return markdown.replace(PLACE, reference()) if PLACE in markdown else markdown


def reference() -> str:
    """Return the description of all commands of capframe, as Markdown."""
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
    from capframe.cli import main

    # The commands of packages that happen to be installed are no part of capframe's reference.
    disabled = os.environ.get("CAPFRAME_DISABLED_PLUGINS")
    os.environ["CAPFRAME_DISABLED_PLUGINS"] = "*"
    try:
        context = click.Context(main, info_name="capframe")
        own = ["## capframe\n", *_described(context)]
        return "\n".join([*own, *_commands(main, context, level=2)])
    finally:
        del os.environ["CAPFRAME_DISABLED_PLUGINS"]
        if disabled is not None:
            os.environ["CAPFRAME_DISABLED_PLUGINS"] = disabled


def _commands(group: click.Group, context: click.Context, level: int) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield f"{'#' * level} {inner.command_path}\n"
        yield from _described(inner)
        if isinstance(command, click.Group):
            yield from _commands(command, inner, level + 1)


def _described(context: click.Context) -> Iterator[str]:
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```\n"
    yield f"{_plain(command.help or '')}\n"
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        yield "| option | what it does |\n| --- | --- |"
        yield from (_row(option, context) for option in options)
        yield ""
    if command.epilog:
        yield f"{_plain(command.epilog)}\n"


def _row(option: click.Option, context: click.Context) -> str:
    choices = list(option.type.choices) if isinstance(option.type, click.Choice) else []
    value = "CHOICE" if choices else option.make_metavar(context).removesuffix(" RANGE")
    spelling = " ".join(f"`{name}`" if option.is_flag else f"`{name} {value}`" for name in option.opts)
    text = _plain(option.help or "")
    if choices:
        text += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    if option.required:
        text += " **Required.**"
    if option.show_default and option.default is not None:
        text += f" \\[default: {option.default}\\]"
    return f"| {spelling} | {text} |"


def _plain(text: str) -> str:
    """Return click's text with what Markdown, or a table, would take for markup escaped."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.replace("\b", "").split("\n\n")]
    escaped = re.sub(r"[\\*_\[\]]", r"\\\g<0>", html.escape("\n\n".join(paragraphs), quote=False))
    return escaped.replace("|", "&#124;")
