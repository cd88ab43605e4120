"""The house as the design has it: the README's first lines, what the package imports, how rooms depend."""

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

import capframe

PACKAGE = Path(capframe.__file__).parent
CHECKOUT = Path(__file__).parents[1]
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)

FLOORS = (
    {"errors", "progress"},
    {"hookspecs", "interfaces", "options", "plugins", "registry"},
    {
        "caption_files",
        "caption_table",
        "dataset",
        "image_marks",
        "image_names",
        "name_table",
        "scratch_files",
        "stored_names",
        "splits",
        "text_files",
        "image_files",
        "image_colours",
        "quiet_pillow",
        "images",
        "image_views",
        "vocabulary",
        "batches",
        "drawings",
        "sheet",
        "attention_sheet",
    },
    {
        "feature_parts",
        "features",
        "feature_exchange",
        "feature_filling",
        "feature_pickle",
        "pickled_arrays",
        "tokens",
        "metrics",
        "score_report",
        "scoring",
        "compile_later",
        "beam_search",
        "search",
        "weight_averaging",
        "word_dropout",
        "sampling",
        "caption_rewards",
        "self_critical",
        "training_batches",
        "training_state",
        "training_options",
        "training",
        "word_losses",
        "run_folder",
        "unfinished",
        "run_folder_checks",
        "half_precision",
        "model_weights",
    },
    {"composition", "recipes", "extraction", "samples", "trained", "starting", "evaluation", "captioning"},
    {"captioner", "ensemble", "attention"},
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


def test_default_plugins_import_only_public_names_of_the_core():
    private = []
    for path in SOURCES:
        room = path.relative_to(PACKAGE).parts
        if room[0] != "default_plugins":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            module = node.module or ""
            # A relative import that climbs out of default_plugins is what no outsider can write.
            climbs_out = node.level >= len(room)
            of_core = module.split(".")[0] == "capframe" and not module.startswith("capframe.default_plugins")
            names = [*module.split("."), *(alias.name for alias in node.names)]
            if climbs_out or (of_core and any(name.startswith("_") for name in names)):
                private.append(f"{path.name}: {ast.unparse(node)}")
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


def test_the_wheel_holds_the_package_and_nothing_else():
    installed = importlib.metadata.distribution("capframe")
    files = [PurePosixPath(str(file)) for file in installed.files or ()]
    if any(file.suffix == ".pth" for file in files):
        pytest.skip("capframe is installed in editable form: there is no wheel to look into")
    checkout = CHECKOUT / "capframe"
    kept = {path.relative_to(CHECKOUT).as_posix() for path in checkout.rglob("*") if path.is_file()}
    held = {str(file) for file in files if "__pycache__" not in file.parts}

    assert {name for name in kept if "__pycache__" not in name} <= held
    assert "capframe/py.typed" in held
    assert "capframe/default_plugins/text_cleaners.py" in held
    metadata = f"capframe-{capframe.__version__}.dist-info/"
    beside = {PurePosixPath(name) for name in held - kept if not name.startswith(metadata)}
    # What is left is the command itself: bin/capframe, or Scripts/capframe.exe.
    assert [path for path in beside if path.parent.name not in ("bin", "Scripts")] == []
    assert {path.stem for path in beside} == {"capframe"}


def test_the_default_plugins_are_announced_by_entry_points():
    announced = importlib.metadata.distribution("capframe").entry_points
    assert {entry.name: entry.value for entry in announced if entry.group == "capframe"} == {
        f"{kind.replace('_', '-')}s": f"capframe.default_plugins.{kind}s"
        for kind in ("feature_extractor", "text_cleaner", "decoder", "callback", "dataset_reader")
    }


def test_the_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_the_readme_opens_with_its_two_commands():
    readme = CHECKOUT / "README.md"
    lines = [line.strip() for line in readme.read_text().splitlines() if line.strip()]
    assert lines[1:3] == [
        "python -m pip install . && capframe quickstart",
        "python -m pip install tox && tox",
    ]
