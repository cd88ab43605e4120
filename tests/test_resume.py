"""A training that was interrupted goes on, and ends as one that never was."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import numpy as np
import pytest
from numpy.typing import NDArray

from capframe import Captioner, Dataset, FeatureStore, Registry
from capframe.errors import RunFolderError, TrainingError, UsageError
from capframe.features import FeatureSource
from capframe.training_state import TrainingStateFile, callback_state, restore_callback
from capframe.unfinished import unfinished_run

PICTURES = [f"{number}.png" for number in range(20)]
CAPTIONS = {name: (f"a {'red' if int(name[:-4]) % 2 else 'blue'} thing", "a picture") for name in PICTURES}
PARTS: dict[str, Any] = {
    "feature_extractor": ("imported", {"feature_shape": [4]}),
    "decoder": ("add-merge", {"units": 6, "embedding_size": 5, "dropout": 0.4}),
    # So impatient that the learning rate falls, and training is stopped, within few epochs.
    "callbacks": [
        "checkpoint",
        ("reduce-lr", {"patience": 1, "min_delta": 0.3}),
        ("early-stopping", {"patience": 4, "min_delta": 0.3}),
    ],
    "vocabulary": {"min_count": 1},
    "training": {"epochs": 10, "batch_size": 5, "learning_rate": 0.01},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    store = FeatureStore.create(
        tmp_path_factory.mktemp("store"), FeatureSource("imported", {"feature_shape": [4]}, (4,))
    )
    store.add(PICTURES, np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    return store


DATASET = Dataset(CAPTIONS, {}, {"train": tuple(PICTURES[:15]), "dev": tuple(PICTURES[15:])})


def captioner(registry: Registry, *callbacks: Any, **changes: Any) -> Captioner:
    parts = {**PARTS, **changes}
    return Captioner(**{**parts, "callbacks": [*parts["callbacks"], *callbacks]}, registry=registry)


def files(run: Path) -> dict[str, Any]:
    """Return what a run folder holds, but for the seconds."""
    texts = {path.name: path.read_text() for path in run.iterdir() if path.suffix in (".txt", ".json")}
    rows = [line.split(",")[:-1] for line in (run / "history.csv").read_text().splitlines()]
    return {**texts, "history": rows, "all": sorted(path.name for path in run.iterdir())}


def weights(run: Path, registry: Registry) -> list[NDArray[Any]]:
    arrays: list[NDArray[Any]] = Captioner.load(
        run, registry=registry, callbacks=[]
    ).trained.model.get_weights()
    return arrays


class PowerCut:
    """Makes a callback, of no state, that ends the process's work in some epoch and before some batch."""

    def __new__(cls, epoch: int, batch: int = 0) -> Any:
        import keras

        class Cut(keras.callbacks.Callback):
            _epoch = 0

            def on_epoch_begin(self, number: int, logs: Any = None) -> None:
                self._epoch = number

            def on_train_batch_begin(self, number: int, logs: Any = None) -> None:
                if (self._epoch, number) == (epoch, batch):
                    raise KeyboardInterrupt

        return Cut()


@pytest.fixture(scope="module")
def undisturbed(
    store: FeatureStore, new_plugins: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    captioner(Registry(new_plugins()), PowerCut(-1)).fit(DATASET, features=store, out=out)
    return out


def test_the_undisturbed_run_is_stopped_early_after_its_learning_rate_fell(undisturbed: Path) -> None:
    rows = files(undisturbed)["history"]
    rates = [float(row[3]) for row in rows[1:]]
    assert 4 < len(rates) < 10
    assert rates[-1] < rates[0]


@pytest.mark.parametrize("cut", [(1, 0), (4, 1)])
def test_a_resumed_training_ends_as_one_that_was_never_interrupted(
    store: FeatureStore, undisturbed: Path, registry: Registry, tmp_path: Path, cut: tuple[int, int]
) -> None:
    out = tmp_path / "run"
    told: list[float] = []
    with pytest.raises(KeyboardInterrupt):
        captioner(registry, PowerCut(*cut)).fit(DATASET, features=store, out=out)
    history = captioner(registry, PowerCut(-1)).fit(
        DATASET, features=store, out=out, resume=True, on_epoch=lambda logs: told.append(logs["epoch"])
    )

    assert files(out) == files(undisturbed)
    assert told == [logs["epoch"] for logs in history][cut[0] :]
    for one, two in zip(weights(out, registry), weights(undisturbed, registry), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_training_with_a_schedule_goes_on_with_its_learning_rates(
    store: FeatureStore, registry: Registry, tmp_path: Path
) -> None:
    training = {"epochs": 3, "batch_size": 5, "schedule": "cosine", "warm_up": 0.5, "weight_decay": 0.1}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    captioner(registry, PowerCut(-1), training=training).fit(DATASET, features=store, out=whole)
    with pytest.raises(KeyboardInterrupt):
        captioner(registry, PowerCut(1), training=training).fit(DATASET, features=store, out=cut)
    with pytest.raises(UsageError, match=r"training.epochs = 3, and this is"):
        captioner(registry, PowerCut(-1), training={**training, "epochs": 4}).fit(
            DATASET, features=store, out=cut, resume=True
        )
    captioner(registry, PowerCut(-1), training=training).fit(DATASET, features=store, out=cut, resume=True)
    assert files(cut) == files(whole)
    rates = [float(row[3]) for row in files(whole)["history"][1:]]
    assert rates == pytest.approx(
        [1e-3 * 0.5 * (1 + np.cos(np.pi * x / 2.5)) for x in (0.5, 1.5, 2.5)], abs=1e-9
    )


def test_a_training_that_was_killed_after_its_last_epoch_is_only_written_out(
    store: FeatureStore,
    undisturbed: Path,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("capframe.trained.Trained.write", killed)
        with pytest.raises(KeyboardInterrupt):
            captioner(registry, PowerCut(-1)).fit(DATASET, features=store, out=tmp_path / "run")
    told: list[Any] = []
    captioner(registry, PowerCut(0)).fit(
        DATASET, features=store, out=tmp_path / "run", resume=True, on_epoch=told.append
    )
    assert told == []
    assert files(tmp_path / "run") == files(undisturbed)


@pytest.fixture(scope="module")
def cut_once(
    store: FeatureStore, new_plugins: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the working folder of a training that was interrupted in its third epoch."""
    out = tmp_path_factory.mktemp("cut") / "run"
    with pytest.raises(KeyboardInterrupt):
        captioner(Registry(new_plugins()), PowerCut(2)).fit(DATASET, features=store, out=out)
    return out.with_name("run.unfinished")


@pytest.fixture
def cut(cut_once: Path, tmp_path: Path) -> Path:
    """Return where a run was to be, whose training was interrupted in its third epoch."""
    shutil.copytree(cut_once, tmp_path / "run.unfinished")
    return tmp_path / "run"


def test_an_interrupted_training_is_neither_forgotten_nor_overwritten(
    cut: Path, store: FeatureStore, registry: Registry
) -> None:
    again = captioner(registry, PowerCut(-1))
    with pytest.raises(
        RunFolderError, match=r"run.unfinished holds a training that was interrupted. Go on with"
    ):
        again.fit(DATASET, features=store, out=cut)
    assert (cut.with_name("run.unfinished") / "best_model.keras").is_file()
    history = again.fit(DATASET, features=store, out=cut, overwrite=True)
    assert history[0]["epoch"] == 1
    assert [path.name for path in cut.parent.iterdir()] == ["run"]


def test_what_finished_no_epoch_may_be_begun_anew_and_resuming_may_begin(
    store: FeatureStore, registry: Registry, tmp_path: Path
) -> None:
    for resume in (False, True, False):
        with pytest.raises(KeyboardInterrupt):
            captioner(registry, PowerCut(0)).fit(DATASET, features=store, out=tmp_path / "run", resume=resume)


def test_a_model_without_a_state_is_not_taken_for_one_of_this_training(
    cut: Path, store: FeatureStore, registry: Registry
) -> None:
    working = cut.with_name("run.unfinished")
    (working / "training_state.npz").unlink()
    with unfinished_run(cut, resume=True) as folder:
        assert not (folder / "best_model.keras").exists()


def test_a_run_that_another_process_has_just_finished_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = filelock.FileLock.acquire

    def late(lock: Any, *arguments: Any, **options: Any) -> Any:
        (tmp_path / "run").mkdir()
        return acquire(lock, *arguments, **options)

    monkeypatch.setattr(filelock.FileLock, "acquire", late)
    with pytest.raises(RunFolderError, match="exists already"), unfinished_run(tmp_path / "run", resume=True):
        raise AssertionError("the work was begun")


def test_the_folder_is_still_locked_when_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows cannot rename a folder with an open file")

    def named(working: Path, path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-c", HOLDER, str(path)], input="", capture_output=True, text=True, check=False
        )
        assert "Another process is training" in done.stderr
        working.rename(path)

    monkeypatch.setattr("capframe.unfinished.give_name", named)
    with unfinished_run(tmp_path / "run"):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_more_epochs_may_be_asked_for_when_training_goes_on(
    cut: Path, store: FeatureStore, registry: Registry
) -> None:
    history = captioner(registry, PowerCut(-1)).fit(DATASET, features=store, out=cut, resume=True, epochs=3)
    assert [logs["epoch"] for logs in history] == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"training": {**PARTS["training"], "learning_rate": 0.1}},
            "training.learning_rate = 0.01, and this is",
        ),
        ({"decoder": ("add-merge", {"units": 7})}, "decoder.options.dropout = 0.4, and this is"),
        ({"text_cleaners": []}, "text_cleaners = "),
    ],
)
def test_another_training_does_not_go_on_with_this_one(
    cut: Path, store: FeatureStore, registry: Registry, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=rf"run.unfinished was begun with {said}"):
        captioner(registry, PowerCut(-1), **changes).fit(DATASET, features=store, out=cut, resume=True)


def test_other_captions_do_not_go_on_with_these(cut: Path, store: FeatureStore, registry: Registry) -> None:
    other = Dataset({**CAPTIONS, "0.png": ("a cat",)}, {}, DATASET.splits)
    with pytest.raises(UsageError, match="begun with captions = "):
        captioner(registry, PowerCut(-1)).fit(other, features=store, out=cut, resume=True)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "pickle", "newer", "other model"])
def test_a_damaged_state_is_named_and_nothing_is_lost(
    cut: Path, store: FeatureStore, registry: Registry, damage: str
) -> None:
    state = cut.with_name("run.unfinished") / "training_state.npz"
    content = state.read_bytes()
    with np.load(state) as file:
        arrays = dict(file)
    if damage == "pickle":
        np.savez(state, **{**arrays, "model/0": np.array([{}], dtype=object)}, allow_pickle=True)
    elif damage == "newer":
        record = {**json.loads(arrays["record"].tobytes()), "format": 2}
        np.savez(state, **{**arrays, "record": np.frombuffer(json.dumps(record).encode(), np.uint8)})
    elif damage == "other model":
        np.savez(state, **{**arrays, "model/0": np.zeros((1, 1))})
    else:
        state.write_bytes({"cut": content[:-300], "empty": b"", "text": b"state"}[damage])

    with pytest.raises(RunFolderError, match=r"training_state.npz is damaged: .*Start over with --overwrite"):
        captioner(registry, PowerCut(-1)).fit(DATASET, features=store, out=cut, resume=True)
    assert (state.parent / "best_model.keras").is_file()


HOLDER = """
import sys
from pathlib import Path
from capframe.unfinished import unfinished_run

with unfinished_run(Path(sys.argv[1])):
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_train_one_run(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with (
            pytest.raises(RunFolderError, match="Another process is training in"),
            unfinished_run(tmp_path / "run", resume=True),
        ):
            raise AssertionError("the work was begun")
        process.communicate()
    assert process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_training_that_failed_lets_go_of_its_folder(tmp_path: Path) -> None:
    def fail() -> None:
        with unfinished_run(tmp_path / "run"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    with unfinished_run(tmp_path / "run", resume=True) as working:
        assert working.is_dir()
    assert caught.value.__traceback__ is not None


def test_leftovers_of_killed_writers_do_not_reach_the_run_folder(
    cut: Path, store: FeatureStore, registry: Registry
) -> None:
    (cut.with_name("run.unfinished") / ".partial-17-best_model.keras").write_bytes(b"half")
    captioner(registry, PowerCut(-1)).fit(DATASET, features=store, out=cut, resume=True)
    assert [path.name for path in cut.iterdir() if path.name.startswith(".")] == []


def test_resuming_needs_a_run_folder(store: FeatureStore, registry: Registry) -> None:
    with pytest.raises(UsageError, match="needs `out`"):
        captioner(registry).fit(DATASET, features=store, resume=True)


# The state of callbacks


def test_a_callback_keeps_its_plain_public_attributes() -> None:
    class Callback(SimpleNamespace):
        def __init__(self, patience: int = 3, **attributes: Any) -> None:
            super().__init__(patience=-patience, **attributes)

    callback = Callback(
        best=np.float32(0.5), waited=3, rates=[0.1, (0.2,)], seen={"a": None}, params={"epochs": 3},
        file=print, weights=[np.ones(2)], _model=1,
    )  # fmt: skip
    state = callback_state(callback)
    assert state == {"best": 0.5, "waited": 3, "rates": [0.1, [0.2]], "seen": {"a": None}}
    other = SimpleNamespace(best=None, weights=[])
    restore_callback(other, json.loads(json.dumps(state)))
    assert (other.best, other.waited, other.weights) == (0.5, 3, [])


def test_a_callback_may_say_itself_what_its_state_is() -> None:
    class Counting:
        def __init__(self) -> None:
            self.calls = {1, 2}
            self.ignored = 7

        def get_state(self) -> dict[str, Any]:
            return {"calls": sorted(self.calls)}

        def set_state(self, state: dict[str, Any]) -> None:
            self.calls = set(state["calls"])

    state = callback_state(Counting())
    assert state == {"calls": [1, 2]}
    callback = Counting()
    callback.calls = set()
    restore_callback(callback, state)
    assert callback.calls == {1, 2}


@pytest.mark.parametrize("state", [None, [1], {"seen": {1, 2}}, {3: 4}])
def test_a_state_that_json_has_no_form_for_is_refused_with_the_name_of_the_callback(state: Any) -> None:
    class Odd:
        def get_state(self) -> Any:
            return state

    with pytest.raises(TrainingError, match=r"get_state\(\) of the callback .*Odd must return"):
        callback_state(Odd())


def test_infinite_losses_survive_the_file(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam())
    model.stop_training = True
    file = TrainingStateFile(tmp_path / "state.npz", {"seed": 1})
    assert file.read() is None
    file.write(model, [SimpleNamespace(best=float("inf"))], [{"epoch": 1, "loss": 0.1 + 0.2}])
    state = file.read()
    assert state is not None
    assert (state.callbacks, state.history) == ([{"best": float("inf")}], [{"epoch": 1, "loss": 0.1 + 0.2}])
    assert state.stopped
    shutil.rmtree(tmp_path)
