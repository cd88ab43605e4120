"""The house as the design has it: the README's first lines, what the package imports, how rooms depend."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import capframe

PACKAGE = Path(capframe.__file__).parent
CHECKOUT = Path(__file__).parents[1]
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)

FLOORS = (
    {"errors", "progress"},
    {"hookspecs", "interfaces", "options", "plugins", "registry"},
    {"dataset", "images", "vocabulary", "batches", "drawings", "sheet"},
    {"feature_parts", "features", "tokens", "metrics", "scoring", "search", "training", "run_folder"},
    {"composition", "extraction", "trained", "evaluation"},
    {"captioner"},
    {"cli"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imported_rooms(path: Path) -> set[str]:
    """Return the modules of capframe that a core file imports while it is loaded or used."""
    rooms = set()
    typing_only = {
        node
        for block in ast.walk(ast.parse(path.read_text()))
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in map(ast.unparse, block.body)
    }
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.level or ast.unparse(node) in typing_only:
            continue
        if path.parent == PACKAGE and node.level == 1:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            rooms |= {name.split(".")[0] for name in names if name and not name.startswith("__")}
    return rooms


@pytest.mark.parametrize("path", [path for path in SOURCES if path.parent == PACKAGE], ids=lambda p: p.stem)
def test_imports_run_downwards(path):
    if path.stem.startswith("__"):
        return
    above = {room for room in imported_rooms(path) if FLOOR[room] > FLOOR[path.stem]}
    assert above == set()


def test_nothing_in_the_core_names_a_default_plugin_module():
    core = [path for path in SOURCES if "default_plugins" not in path.parts]
    assert [path.name for path in core if "default_plugins" in path.read_text()] == []


def test_default_plugins_import_only_public_modules_of_the_core():
    private = []
    for path in SOURCES:
        if "default_plugins" not in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) and not node.level else None
            if module and module.split(".")[0] == "capframe" and "default_plugins" not in module:
                private += [alias.name for alias in node.names if alias.name.startswith("_")]
    assert private == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_can_be_seen_across(path):
    assert len(path.read_text().splitlines()) <= 250


def test_importing_capframe_loads_no_tensorflow(tmp_path):
    code = "import sys, capframe; print([m for m in ('tensorflow', 'keras', 'sklearn') if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert out.stdout.strip() == "[]"


def test_every_public_name_can_be_loaded():
    assert [name for name in capframe.__all__ if not hasattr(capframe, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'Captionner'"):
        _ = capframe.Captionner


def test_the_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_the_readme_opens_with_its_two_commands():
    readme = CHECKOUT / "README.md"
    lines = [line.strip() for line in readme.read_text().splitlines() if line.strip()]
    assert lines[1:3] == [
        "python -m pip install . && capframe quickstart",
        "python -m pip install tox && tox",
    ]
