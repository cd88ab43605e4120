"""What is made for the site agrees with the code: commands, Python names, drawing and contents."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import click
import pytest
from documentation import CHECKOUT

import capframe
from capframe.cli import main

DOCS = CHECKOUT / "docs"


@pytest.fixture(scope="module")
def reference() -> str:
    path = DOCS / "_site" / "command_reference.py"
    spec = importlib.util.spec_from_file_location("command_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: str = module.on_page_markdown(f"# Commands\n\n{module.PLACE}\n")
    return made


def all_commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from all_commands(inner, click.Context(inner, info_name=name, parent=context))


def test_the_reference_has_every_command_with_its_options_and_nothing_else(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPFRAME_DISABLED_PLUGINS", "*")
    written = {
        title: {
            name
            for row in re.findall(r"^\| (.*?) \| ", section, re.M)
            for name in re.findall(r"`(-[^ `]+)", row)
        }
        for title, section in re.findall(r"^#{2,} (capframe.*)\n((?:(?!#).*\n?)*)", reference, re.M)
    }

    commands = dict(all_commands(main, click.Context(main, info_name="capframe")))
    assert written == {
        path: {spelling for one in command.params if isinstance(one, click.Option) for spelling in one.opts}
        for path, command in commands.items()
    }


def test_the_reference_says_which_options_are_required_and_what_the_defaults_are(reference: str) -> None:
    row = next(line for line in reference.splitlines() if line.startswith("| `--tokens"))
    assert r"One of `ptb`, `karpathy`. \[default: ptb\] |" in row
    train = reference.split("## capframe train\n")[1]
    assert re.search(r"\| `--captions PATH` \| .*\*\*Required\.\*\* \|", train)


def test_every_page_is_in_the_contents_and_every_entry_is_a_page() -> None:
    contents = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]

    listed = re.findall(r"^ *- (?:.*: )?(\S+\.md)$", contents, re.M)
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


def test_python_names_of_the_page_exist_and_the_public_ones_are_all_there() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    names = re.findall(r"^::: (\S+)$", page, re.M)

    def found(name: str) -> Any:
        value: Any = sys.modules["capframe"]
        for part in name.split(".")[1:]:
            value = getattr(value, part, None) or importlib.import_module(f"{value.__name__}.{part}")
        return value

    assert all(found(name) is not None for name in names)
    documented = {name.removeprefix("capframe.") for name in names} | {"CapframeError", "__version__"}
    assert set(capframe.__all__) <= documented


def test_boxes_of_the_data_flow_that_name_a_part_of_the_core_name_one_that_exists() -> None:
    drawing = ElementTree.parse(DOCS / "images" / "data-flow.svg")
    titles = {text.text for text in drawing.iter() if text.get("class") == "title"}

    for title in ("dataset", "vocabulary", "search", "scoring"):
        assert title in titles
        assert (CHECKOUT / "capframe" / f"{title}.py").is_file()
