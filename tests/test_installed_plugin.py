"""Somebody else's package, put in and taken out by pip: used in a training run, then missing."""

import csv
import json
import os
import site
import subprocess
import venv
from pathlib import Path

import pytest
from PIL import Image

EXAMPLE = Path(__file__).parents[1] / "plugins" / "capframe-example"
COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return a function that runs Python in a new environment, which sees what is installed here too."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    executable = next(folder.glob("bin/python")) if os.name != "nt" else folder / "Scripts" / "python.exe"
    (own_site,) = folder.glob("lib/python*/site-packages") if os.name != "nt" else folder.glob("Lib/*")
    # addsitedir also reads the .pth files there, by which capframe may be installed in editable form.
    shared = f"import site; site.addsitedir({site.getsitepackages()[0]!r})\n"
    (own_site / "shared.pth").write_text(shared)

    def run(*arguments: object, fails: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONNOUSERSITE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    """Return a caption file with its pictures beside it: one colour each, which the caption names."""
    folder = tmp_path_factory.mktemp("coloured")
    rows = []
    for number in range(24):
        word = list(COLOURS)[number % 3]
        Image.new("RGB", (40, 40), COLOURS[word]).save(folder / f"{number}.png")
        rows.append((f"{number}.png", f"The picture is {word}."))
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    return folder / "captions.csv"


def status_of(python, name: str) -> str | None:
    listed = json.loads(python("-m", "capframe", "plugins", "--json").stdout)
    return {plugin["plugin"]: plugin["status"] for plugin in listed}.get(name)


def test_a_plugin_is_used_while_it_is_installed_and_named_when_it_is_not(python, captions, tmp_path):
    if status_of(python, "example") is not None:
        pytest.skip("capframe-example is installed in the environment of the tests")
    python("-m", "pip", "install", "--no-deps", EXAMPLE)
    assert status_of(python, "example") == "loaded"

    settings = (
        *("vocabulary.min_count=1", "training.learning_rate=0.02", "early-stopping.patience=99"),
        *("feature_extractor.cells=2", "decoder.units=16", "decoder.embedding_size=16", "decoder.dropout=0"),
    )
    run, red = tmp_path / "run", tmp_path / "red.png"
    Image.new("RGB", (50, 50), COLOURS["red"]).save(red)
    python(
        *("-m", "capframe", "train", "--captions", captions, "--images", captions.parent, "--out", run),
        *("--feature-extractor", "colour-grid", "--text-cleaner", "regex", "--text-cleaner", "without-words"),
        *("--epochs", 60, *(word for setting in settings for word in ("--set", setting))),
    )
    caption = ("-m", "capframe", "caption", red, "--run", run)
    assert python(*caption).stdout.strip().endswith("picture is red")

    python("-m", "pip", "uninstall", "--yes", "capframe-example")
    assert status_of(python, "example") is None
    error = python(*caption, fails=True).stderr
    assert "the feature extractor 'colour-grid' of the package 'capframe-example' 0.1.0" in error
    assert "python -m pip install capframe-example" in error
    assert "Traceback" not in error
