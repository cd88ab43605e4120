"""Every code block of every page is run, in order, in a folder with ten drawn pictures."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from documentation import CHECKOUT, Block, Workspace, blocks_of, commands_of, tomllib

from capframe.cli import main

DOCS = CHECKOUT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
README = CHECKOUT / "README.md"
MEASURED = {"results.md", "reliability.md", "performance.md"}
"""Pages whose commands were run once, for hours; here only their options are looked at."""

TRAINING = {"tutorial.md", "python.md", "features.md", "notebook.md", "plugins.md"}
"""Pages that train something: they are run in one environment."""

WITH_RUN = {"pictures.md", "faq.md"}
"""Pages that presume a run folder ``run``."""

NOT_RUN = {
    ("performance.md", "tox -e bench"),
    ("index.md", "python -m pip install ."),
    ("index.md", "capframe quickstart"),
    ("tutorial.md", "image,caption"),
    ("notebook.md", "capframe extract --images Images --out features --feature-extractor vgg16"),
    ("plugins.md", "python -m pip install --editable ."),
}
"""Page and first line of each block that says why it is not run."""


def runnable(page: Path) -> object:
    marks = [pytest.mark.slow] if page.name in TRAINING | WITH_RUN else []
    return pytest.param(page, id=page.stem, marks=marks)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    present = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Workspace(tmp_path)
    for module in {path.stem for path in tmp_path.glob("*.py")} - present:
        sys.modules.pop(module, None)


@pytest.fixture(scope="session")
def drawn_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder, with its feature store beside it."""
    from capframe import Captioner, Dataset

    place = tmp_path_factory.mktemp("drawn")
    Workspace(place)
    dataset = Dataset.read(place / "captions.txt", images=place / "Images")
    captioner = Captioner("efficientnet-lite0", callbacks=["checkpoint"], vocabulary={"min_count": 1})
    captioner.fit(dataset, epochs=2, features=place / "run.features", out=place / "run")
    return place / "run"


@pytest.mark.parametrize("page", [runnable(page) for page in PAGES if page.name not in MEASURED])
def test_every_block_of_the_page_runs(
    page: Path, workspace: Workspace, request: pytest.FixtureRequest
) -> None:
    if page.name in WITH_RUN:
        run = request.getfixturevalue("drawn_run")
        for folder in (run, run.with_name("run.features")):
            shutil.copytree(folder, workspace.folder / folder.name)

    for block in blocks_of(page):
        if not block.reason:
            workspace.run(block)


@pytest.mark.slow
def test_the_python_and_the_plugin_of_the_readme_work(workspace: Workspace) -> None:
    composed, plugin, announced = blocks_of(README)

    workspace.run(composed)
    workspace.run(plugin)

    assert Path("run", "config.json").is_file()
    assert list(workspace.namespace["register_feature_extractors"]()) == ["mean-colour"]
    (target,) = tomllib.loads(announced.text)["project"]["entry-points"]["capframe"].values()
    assert f"`{target}.py`" in README.read_text(encoding="utf-8")


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", README.read_text(encoding="utf-8"))

    assert len(targets) > 10
    assert [target for target in targets if "://" not in target and not (CHECKOUT / target).is_file()] == []


def test_blocks_that_are_not_run_are_those_that_are_listed_here() -> None:
    skipped = [block for page in PAGES for block in blocks_of(page) if block.reason]

    assert {(block.page, block.text.splitlines()[0]) for block in skipped} == NOT_RUN


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.stem)
def test_commands_of_the_page_have_the_options_they_are_given(page: Path) -> None:
    blocks = [block for block in blocks_of(page) if block.language == "bash"]
    indented = re.findall(r"^(?: {4}\S.*\n(?: {5,}\S.*\n)*)+", page.read_text(encoding="utf-8"), re.MULTILINE)
    blocks += [Block(page.name, 0, "bash", "", text, "") for text in indented if "capframe " in text]

    inline = re.findall(r"`(capframe [^`]+)`", page.read_text(encoding="utf-8"))
    blocks += [Block(page.name, 0, "bash", "", text, "") for text in inline]

    for block in blocks:
        for arguments in commands_of(block):
            if arguments[0] == "capframe":
                check_options(block, arguments[1:])


def check_options(block: Block, arguments: list[str]) -> None:
    """Have click parse the options; whether files exist is not asked."""
    command: click.Command = main
    context = click.Context(main, info_name="capframe")
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        if arguments[0].isupper():  # a placeholder, as in "capframe COMMAND --help"
            return
        found = command.get_command(context, arguments[0])
        assert found is not None, f"{block}: there is no command {arguments[0]}"
        command, arguments = found, arguments[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    try:
        command.make_parser(context).parse_args(list(arguments))
    except click.UsageError as error:
        raise AssertionError(f"{block}: {error.message}") from None
