from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capframe import run_folder
from capframe.errors import RunFolderError
from capframe.image_marks import ImageMarks, image_mark

RECORD = {"name": "some", "options": {}, "package": "capframe", "version": "1.0"}
CONFIG: dict[str, Any] = {
    **{key: {} for key in run_folder.KEYS},
    "feature_extractor": RECORD,
    "text_cleaners": [RECORD],
    "decoder": {"object": "elsewhere:Made"},
    "callbacks": [],
}


def test_the_folder_appears_under_its_name_when_all_is_done(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "first"
    with run_folder.new_run_folder(target) as working:
        assert working.parent == target.parent
        (working / "config.json").write_text("whole")
        assert not target.exists()
    assert (target / "config.json").read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_nothing_under_the_name_and_loses_nothing_that_was_done(tmp_path: Path) -> None:
    def train() -> None:
        with run_folder.new_run_folder(tmp_path / "run") as working:
            (working / "history.csv").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("run.unfinished-")
    assert (left / "history.csv").read_text() == "half"


def test_an_existing_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (
        pytest.raises(RunFolderError, match=r"run exists already. Choose another folder, or overwrite it"),
        run_folder.new_run_folder(tmp_path / "run"),
    ):
        raise AssertionError("the work was begun")


def test_a_folder_that_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    def train() -> None:
        with run_folder.new_run_folder(tmp_path / "run"):
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "precious").touch()

    with pytest.raises(RunFolderError, match="exists already"):
        train()
    assert (tmp_path / "run" / "precious").exists()


def test_a_run_is_replaced_whole_where_that_is_wanted(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with run_folder.new_run_folder(tmp_path / "run", overwrite=True) as working:
            (working / "config.json").write_text(content)
            (working / content).touch()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.json", "new"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_that_fails_does_not_replace_the_one_before(tmp_path: Path) -> None:
    with run_folder.new_run_folder(tmp_path / "run") as working:
        (working / "config.json").write_text("old")
    with (
        pytest.raises(ZeroDivisionError),
        run_folder.new_run_folder(tmp_path / "run", overwrite=True) as working,
    ):
        raise ZeroDivisionError
    assert (tmp_path / "run" / "config.json").read_text() == "old"


@pytest.mark.parametrize("kind", ["folder of other things", "file"])
def test_what_is_no_run_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "thesis"
    if kind == "file":
        target.write_text("precious")
    else:
        target.mkdir()
        (target / "chapter.txt").touch()
    with pytest.raises(RunFolderError, match="thesis is not a run folder and will not be overwritten"):
        run_folder.check_free(target, overwrite=True)


@pytest.mark.parametrize("path", [".", "..", "/"])
def test_a_folder_without_a_name_of_its_own_is_refused(path: str) -> None:
    with pytest.raises(RunFolderError, match=r"cannot be made into a run folder\. Name a folder in it"):
        run_folder.check_free(Path(path), True)


def test_an_empty_folder_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with run_folder.new_run_folder(tmp_path / "run", overwrite=True) as working:
        (working / "config.json").touch()
    assert (tmp_path / "run" / "config.json").exists()


LOGS = st.fixed_dictionaries(
    {"epoch": st.integers(1, 99), "loss": st.floats(allow_nan=False, allow_infinity=False)},
    optional={"val_loss": st.floats(0, 9)},
)


@given(st.lists(LOGS, min_size=1, max_size=5))
def test_the_history_is_read_as_it_was_written(history: list[dict[str, float]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        run_folder.write_history(Path(folder), history)
        assert run_folder.read_history(Path(folder)) == history


def test_the_history_is_a_table_with_a_row_for_each_epoch(tmp_path: Path) -> None:
    history = [{"epoch": 1, "loss": 2.5, "val_loss": 3.0}, {"epoch": 2, "loss": 2.25, "val_loss": 2.75}]
    run_folder.write_history(tmp_path, history)
    assert (tmp_path / "history.csv").read_bytes() == b"epoch,loss,val_loss\n1,2.5,3.0\n2,2.25,2.75\n"
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


@pytest.mark.parametrize("damage", [None, b"epoch,loss\n1,much\n", b"epoch\n1,2\n", b"\xff\xfe"])
def test_a_damaged_history_is_named(tmp_path: Path, damage: bytes | None) -> None:
    if damage is not None:
        (tmp_path / "history.csv").write_bytes(damage)
    with pytest.raises(RunFolderError, match=r"history.csv cannot be read"):
        run_folder.read_history(tmp_path)


def test_the_configuration_says_what_wrote_it(tmp_path: Path) -> None:
    import keras
    import numpy as np

    run_folder.write_config(tmp_path, {**CONFIG, "training": {"seed": 7, "word": "Übung"}})
    written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert written["format"] == 1
    assert written["training"] == {"seed": 7, "word": "Übung"}
    assert written["versions"]["keras"] == keras.__version__
    assert written["versions"]["numpy"] == np.__version__
    assert set(written["versions"]) == {"capframe", "tensorflow", "keras", "numpy"}
    assert run_folder.read_config(tmp_path) == written


def test_a_package_of_another_name_is_no_reason_to_lose_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import PackageNotFoundError

    def version(distribution: str) -> str:
        if distribution == "tensorflow":
            raise PackageNotFoundError(distribution)
        return "1.0"

    monkeypatch.setattr(run_folder, "version", version)
    run_folder.write_config(tmp_path, CONFIG)
    assert run_folder.read_config(tmp_path)["versions"]["tensorflow"] == "unknown"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a run folder: it has no config.json"),
        ("{", "config.json is damaged: JSONDecodeError"),
        ("[]", "config.json is damaged: TypeError"),
        ("{}", "config.json is damaged: KeyError: 'format'"),
        ('{"format": 1}', "config.json is damaged: it lacks 'feature_extractor'"),
        (
            '{"format": 2, "versions": {"capframe": "9.0"}}',
            "has format 2, written by capframe 9.0; this one reads format 1. Update capframe",
        ),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunFolderError) as caught:
        run_folder.read_config(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def model_of(layer: Any) -> Any:
    import keras

    return keras.Sequential([keras.Input((2,)), layer])


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    import keras
    import numpy as np

    model = model_of(keras.layers.Dense(3))
    run_folder.write_model(tmp_path, model)
    assert [path.name for path in tmp_path.iterdir()] == ["best_model.keras"]
    again = run_folder.read_model(tmp_path, lambda: model_of(keras.layers.Dense(3)))
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_in_half_precision_weights_are_rounded_and_keras_reads_them_still(tmp_path: Path) -> None:
    import keras
    import numpy as np

    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(50), keras.layers.BatchNormalization()])
    model.set_weights([np.random.default_rng(0).normal(size=weight.shape) for weight in model.get_weights()])
    sizes = []
    for folder, half in ((tmp_path / "whole", False), (tmp_path / "half", True)):
        folder.mkdir()
        run_folder.write_model(folder, model, half_precision=half)
        sizes.append((folder / "best_model.keras").stat().st_size)
    assert sizes[1] < sizes[0] - 2 * 40 * 50 * 0.9

    rounded = [weight.astype(np.float16).astype(np.float32) for weight in model.get_weights()]
    ours = run_folder.read_model(tmp_path / "half", lambda: keras.models.clone_model(model))
    plain = keras.models.load_model(tmp_path / "half" / "best_model.keras")
    for again in (ours, plain):
        for weight, expected in zip(again.get_weights(), rounded, strict=True):
            assert weight.dtype == np.float32
            np.testing.assert_array_equal(weight, expected)


def test_weights_beyond_half_precision_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    import keras
    import numpy as np

    model = model_of(keras.layers.Dense(3))
    model.set_weights([np.full((2, 3), 70_000.0), np.zeros(3)])
    with pytest.raises(RunFolderError, match=r"too large for half precision\. Save them as they are"):
        run_folder.write_model(tmp_path, model, half_precision=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [("missing", "has no best_model.keras. Train the run anew"), ("cut short", "cannot be loaded"),
     ("no archive", "cannot be loaded"), ("empty", "cannot be loaded"),
     ("of another model", "cannot be loaded")],
)  # fmt: skip
def test_a_damaged_model_is_named(tmp_path: Path, damage: str, message: str) -> None:
    import keras

    path = tmp_path / "best_model.keras"
    if damage != "missing":
        run_folder.write_model(
            tmp_path, model_of(keras.layers.Dense(4 if damage == "of another model" else 3))
        )
        whole = path.read_bytes()
        cut = {"cut short": whole[: len(whole) // 2], "no archive": b"hello", "empty": b""}
        path.write_bytes(cut.get(damage, whole))
    with pytest.raises(RunFolderError, match=message) as error:
        run_folder.read_model(tmp_path, lambda: model_of(keras.layers.Dense(3)))
    assert "best_model.keras" in str(error.value)


def test_training_pictures_are_recorded_without_their_names(tmp_path: Path) -> None:
    marks = ImageMarks(map(image_mark, ["b.jpg", "a.jpg", "Ü.jpg", "a.jpg"]))
    assert marks == set(map(image_mark, ["a.jpg", "b.jpg", "Ü.jpg"]))
    run_folder.write_training_images(tmp_path, marks)
    assert "jpg" not in (tmp_path / "training_images.txt").read_text()
    assert run_folder.read_training_images(tmp_path) == marks
    assert list(marks) == sorted(map(image_mark, ["b.jpg", "a.jpg", "Ü.jpg"]))
    assert image_mark("Ü.jpg") in marks
    assert image_mark("c.jpg") not in marks
    assert "a.jpg" not in marks
    with pytest.raises(ValueError, match="no mark of a picture"):
        ImageMarks(["0x00_0000000000a"])
