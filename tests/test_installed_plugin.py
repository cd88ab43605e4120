"""Packages put in and taken out by pip: used in a training run, then missing.

They go into a new environment that sees what is installed here; with ``CAPFRAME_FRESH=1``, where the
environment of the tests is itself a fresh one with the built wheel, into that.
"""

import csv
import json
import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from PIL import Image

EXAMPLE = Path(__file__).parents[1] / "plugins" / "capframe-example"
COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}
# Laws that do not apply to the decoder that comes with a new package: it lacks the methods that none needs.
OPTIONAL = ["it is trained by its model alone", "it shows no attention"]

pytestmark = pytest.mark.installs


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return a function that runs Python in a new environment, which sees what is installed here too."""
    folder = tmp_path_factory.mktemp("environment")
    executable = Path(sys.executable)
    if not os.environ.get("CAPFRAME_FRESH"):
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


def statuses_of(python, *names: str) -> set[str | None]:
    listed = json.loads(python("-m", "capframe", "plugins", "--json").stdout)
    statuses = {plugin["plugin"]: plugin["status"] for plugin in listed}
    return {statuses.get(name) for name in names}


def test_a_plugin_is_used_while_it_is_installed_and_named_when_it_is_not(python, captions, tmp_path):
    if statuses_of(python, "example") != {None}:
        pytest.skip("capframe-example is installed in the environment of the tests")
    python("-m", "pip", "install", "--no-deps", EXAMPLE)
    assert statuses_of(python, "example") == {"loaded"}

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
    assert statuses_of(python, "example") == {None}
    error = python(*caption, fails=True).stderr
    assert "the feature extractor 'colour-grid' of the package 'capframe-example' 0.1.0" in error
    assert "python -m pip install capframe-example" in error
    assert "Traceback" not in error


NEW = {
    "feature-extractor": "mean-colours", "text-cleaner": "digits-as-words", "decoder": "gru",
    "callback": "json-lines", "metric": "word-recall", "dataset-reader": "caption-lines", "command": "words",
    "captioner": "",
}  # fmt: skip


def offered(kind: str) -> str:
    return f"try-{kind}-{NEW[kind]}".rstrip("-")


@pytest.fixture(scope="module")
def lines(captions):
    """Return a caption file that only the dataset reader of a new package knows, with two digits in it."""
    path = captions.with_suffix(".jsonl")
    with captions.open(newline="") as file:
        rows = [{"image": row["image"], "captions": ["2 " + row["caption"]]} for row in csv.DictReader(file)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_new_packages_of_every_kind_are_used_while_installed_and_named_when_not(
    python, captions, lines, tmp_path
):
    folders = {kind: tmp_path / f"capframe-try-{kind}" for kind in NEW}
    for kind, folder in folders.items():
        python("-m", "capframe", "plugins", "new", folder.name, "--kind", kind, "--out", folder)
    modules = [folder / folder.name.replace("-", "_") for folder in folders.values()]
    python("-m", "ruff", "check", *folders.values())
    python("-m", "ruff", "format", "--check", *folders.values())
    python("-m", "mypy", "--strict", "--allow-subclassing-any", "--ignore-missing-imports", *modules)
    (folders["captioner"] / "train.py").write_text(
        "import sys\nfrom pathlib import Path\nfrom capframe_try_captioner.captioner import train\n"
        "train(Path(sys.argv[1]), Path(sys.argv[2]), epochs=1)\n"
    )
    python(folders["captioner"] / "train.py", captions, captions.parent)
    python("-m", "pip", "install", "--no-deps", *folders.values())
    assert statuses_of(python, *(f"try-{kind}" for kind in NEW)) == {"loaded"}

    lawful = [folder.name for kind, folder in folders.items() if kind not in ("command", "captioner")]
    packages = [word for name in lawful for word in ("--capframe-package", name)]
    tests = [folder / "tests" for folder in folders.values()]
    passed = python("-m", "pytest", "-rs", "--import-mode=importlib", *packages, *tests).stdout
    skipped = [line.rpartition(": ")[2] for line in passed.splitlines() if line.startswith("SKIPPED")]
    assert sorted(skipped) == OPTIONAL

    run, red = tmp_path / "run", tmp_path / "red.png"
    Image.new("RGB", (50, 50), COLOURS["red"]).save(red)
    images = ("--images", captions.parent)
    train = ("-m", "capframe", "train", "--captions", lines, *images, "--epochs", 60)
    settings = (
        *("vocabulary.min_count=1", "training.learning_rate=0.02", "feature_extractor.cells=2"),
        *("decoder.units=16", "decoder.dropout=0"),
    )
    python(
        *(*train, "--out", run, "--feature-extractor", offered("feature-extractor")),
        *("--text-cleaner", "regex", "--text-cleaner", offered("text-cleaner")),
        *("--decoder", offered("decoder"), "--callback", "checkpoint", "--callback", offered("callback")),
        *(word for setting in settings for word in ("--set", setting)),
    )
    assert len((run / "epochs.jsonl").read_text().splitlines()) == 60
    caption = ("-m", "capframe", "caption", red, "--run", run)
    assert python(*caption).stdout.strip().endswith("two the picture is red")
    evaluate = ("-m", "capframe", "evaluate", "--run", run, "--captions", lines, *images)
    assert offered("metric") in python(*evaluate, "--metric", offered("metric")).stdout
    words = python("-m", "capframe", offered("command"), lines, "--most", 1).stdout
    assert words.split()[0] == "24"
    shipped = ("-m", "capframe", "caption", red, "--run", "try-captioner")
    assert python(*shipped).stdout.strip()

    # A run names the first part that it lacks, in the order of its config, so they go in the reverse one.
    for kind, command in (
        ("metric", (*evaluate, "--metric", offered("metric"))),
        ("command", ("-m", "capframe", offered("command"), lines)),
        ("captioner", shipped),
        ("callback", caption),
        ("decoder", caption),
        ("text-cleaner", caption),
        ("feature-extractor", caption),
        ("dataset-reader", (*train, "--out", tmp_path / "other")),
    ):
        python("-m", "pip", "uninstall", "--yes", folders[kind].name)
        error = python(*command, fails=True).stderr
        assert "Traceback" not in error
        assert (lines.name if kind == "dataset-reader" else offered(kind)) in error
        if command is caption:
            package = folders[kind].name
            assert f"the {kind.replace('-', ' ')} '{offered(kind)}' of the package '{package}' 0.1.0" in error
            assert f"python -m pip install {package}" in error


OURS = {
    "tensorboard": ("callback", "tensorboard"),
    "unicode-cleaner": ("text cleaner", "unicode"),
    "keras-applications": ("feature extractor", "keras-mobilenetv3small"),
}


def test_our_own_packages_are_used_while_installed_and_named_when_not(python, captions, tmp_path):
    if statuses_of(python, "tensorboard") != {None}:
        pytest.skip("our plugins are installed in the environment of the tests")
    python("-m", "pip", "install", *(EXAMPLE.with_name(f"capframe-{name}") for name in OURS))
    assert statuses_of(python, *OURS) == {"loaded"}

    run, red, weights = tmp_path / "run", tmp_path / "red.png", tmp_path / "seeded.weights.h5"
    Image.new("RGB", (50, 50), COLOURS["red"]).save(red)
    python(
        *("-W", "ignore", "-c"),
        "import keras; keras.utils.set_random_seed(0); keras.applications.MobileNetV3Small("
        f"include_top=False, weights=None, input_shape=(32, 32, 3)).save_weights({str(weights)!r})",
    )
    images = ("--images", captions.parent)
    settings = (
        *(f"feature_extractor.weights={weights}", "feature_extractor.side=32", "vocabulary.min_count=1"),
        *(
            "training.learning_rate=0.02",
            "decoder.units=16",
            "decoder.embedding_size=16",
            "decoder.dropout=0",
        ),
    )
    python(
        *("-m", "capframe", "train", "--captions", captions, *images, "--out", run, "--epochs", 5),
        *("--feature-extractor", "keras-mobilenetv3small", "--text-cleaner", "unicode"),
        *("--callback", "checkpoint", "--callback", "tensorboard"),
        *(word for setting in settings for word in ("--set", setting)),
    )
    splits = {path.name for path in (run / "tensorboard").iterdir()}
    assert splits == {"train", "validation", "samples"}
    caption = ("-m", "capframe", "caption", red, "--run", run)
    assert python(*caption).stdout.strip()
    assert (
        "CIDEr" in python("-m", "capframe", "evaluate", "--run", run, "--captions", captions, *images).stdout
    )

    # A run names the first part that it lacks, in the order of its config, so they go in the reverse one.
    for name, (noun, part) in OURS.items():
        python("-m", "pip", "uninstall", "--yes", f"capframe-{name}")
        error = python(*caption, fails=True).stderr
        assert "Traceback" not in error
        assert f"the {noun} '{part}' of the package 'capframe-{name}' 0.1.0" in error
        assert f"python -m pip install capframe-{name}" in error
