"""`capframe plugins new`: packages to begin with, and the names that cannot be theirs."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import tomli
from click.testing import CliRunner, Result

from capframe import PluginManager, Registry
from capframe.cli import main
from capframe.cli.new_plugin import _PARTS

KINDS = {
    "feature-extractor": "feature_extractor",
    "text-cleaner": "text_cleaner",
    "decoder": "decoder",
    "callback": "callback",
    "metric": "metric",
    "dataset-reader": "dataset_reader",
    "command": "command",
    "captioner": "captioner",
}


def new(*arguments: object) -> Result:
    command = ["plugins", "new", *map(str, arguments)]
    return CliRunner().invoke(main, command, obj=Registry(PluginManager(disabled={"*"})))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_there_is_a_package_for_every_kind():
    assert set(_PARTS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_holds_what_publishing_needs(tmp_path, kind):
    out = tmp_path / "capframe-shapes"
    result = new("capframe-shapes", "--kind", kind, "--out", out, "--author", 'Ann\n"Shapes" Example')

    assert result.exit_code == 0, result.output
    room = KINDS[kind]
    assert files(out) == {
        "pyproject.toml", "README.md", "LICENSE", "tox.ini", ".gitignore", ".github/workflows/tests.yml",
        "capframe_shapes/__init__.py", "capframe_shapes/py.typed", f"capframe_shapes/{room}.py",
        "tests/test_package.py", f"tests/test_{room}.py",
    }  # fmt: skip
    project = tomli.loads((out / "pyproject.toml").read_text())["project"]
    assert project["name"] == "capframe-shapes"
    assert project["authors"] == [{"name": "Ann 'Shapes' Example"}]
    assert project["entry-points"] == {"capframe": {"shapes": "capframe_shapes"}}
    assert project["dependencies"][0] == "capframe"
    assert "Apache License" in (out / "LICENSE").read_text()
    assert not [name for name in files(out) if re.search("__[A-Z]+__", (out / name).read_text())]
    assert f"cd {out}" in result.stderr


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    out = tmp_path / "everything"
    kinds = [word for kind in KINDS for word in ("--kind", kind)]
    assert new("Capframe.All_Kinds", "--out", out, *kinds).exit_code == 0
    return out


def test_one_package_may_offer_several_kinds(everything, monkeypatch):
    monkeypatch.syspath_prepend(str(everything))
    plugins = PluginManager(strict=True, disabled={"*"})
    plugins.register(importlib.import_module("capframe_all_kinds"), "all-kinds")

    registry = Registry(plugins)
    offered = {
        kind: [n for n in registry.names(kind) if n.startswith("all-kinds")] for kind in KINDS.values()
    }

    assert offered == {
        "feature_extractor": ["all-kinds-mean-colours"],
        "text_cleaner": ["all-kinds-digits-as-words"],
        "decoder": ["all-kinds-gru"],
        "callback": ["all-kinds-json-lines"],
        "metric": ["all-kinds-word-recall"],
        "dataset_reader": ["all-kinds-caption-lines"],
        "command": ["all-kinds-words"],
        "captioner": [],
    }
    assert (
        type(registry.create("feature_extractor", "all-kinds-mean-colours").value).__name__ == "MeanColours"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1shape"], "'1shape' cannot be the name of a package"),
        (["shapes!"], "'shapes!' cannot be the name of a package"),
        (["-shapes"], "No such option"),
        (["../shapes"], "cannot be the name of a package"),
        (["class"], "cannot be the name of a package"),
        (["class-"], "cannot be the name of a package"),
        (["Capframe"], "That is capframe itself"),
        (["capframe-" + 32 * "s"], "longer than 40 letters"),
        (["shapes", "--kind", "cleaner"], "'text-cleaner'"),
    ],
)
def test_a_wrong_name_or_kind_is_refused(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    result = new(*arguments)
    assert result.exit_code != 0
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert new("shapes").exit_code == 0
    before = files(tmp_path)
    assert "shapes exists already" in new("shapes", "--kind", "decoder").stderr
    assert files(tmp_path) == before


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(self: Path, *arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = new("shapes", "--out", tmp_path / "shapes")
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_list_is_still_what_the_command_prints_alone():
    result = CliRunner().invoke(main, ["plugins"], obj=Registry(PluginManager(disabled={"*"})))
    assert result.exit_code == 0
    assert "efficientnet-lite0" in result.stdout
