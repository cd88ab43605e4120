"""What is written is written whole, whatever happens: a full disk, two writers, writers that were killed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from capframe.feature_exchange import import_features
from capframe.feature_parts import LEFTOVER_SECONDS, FeatureSource
from capframe.features import FeatureStore

SOURCE = FeatureSource("mean-colour", {}, (3,))

ONLY_POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no limits on the size of files")

LIMITED = """
    import resource, sys
    from pathlib import Path
    from capframe.errors import CapframeError

    folder, bytes_left = Path(sys.argv[1]), int(sys.argv[2])
    # A file that grows beyond the limit is to its writer what a full disk is: a write that fails.
    def fill_the_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, bytes_left))
"""

WRITERS = {
    "a part of a store": """
        import numpy as np
        from capframe.features import FeatureSource, FeatureStore
        store = FeatureStore.create(folder / "store", FeatureSource("x", {}, (4096,)))
        fill_the_disk()
        store.add([str(n) for n in range(40)], np.ones((40, 4096), np.float32))
    """,
    "an import": """
        import pickle, numpy as np
        from capframe.feature_exchange import import_features
        rows = {str(n): np.ones(4096, np.float32) for n in range(40)}
        (folder / "in.pkl").write_bytes(pickle.dumps(rows))
        fill_the_disk()
        import_features(folder / "in.pkl", folder / "store")
    """,
    "an export": """
        import numpy as np
        from capframe.feature_exchange import export_features
        from capframe.features import FeatureSource, FeatureStore
        store = FeatureStore.create(folder / "store", FeatureSource("x", {}, (4096,)))
        store.add([str(n) for n in range(40)], np.ones((40, 4096), np.float32))
        fill_the_disk()
        export_features(store, folder / "features.pkl")
    """,
    "captions": """
        from capframe.run_folder import write_text
        fill_the_disk()
        write_text(folder / "captions.csv", "a.jpg,a dog\\n" * 100_000)
    """,
    "the state of a training": """
        import keras, os
        from capframe.training_state import TrainingStateFile
        model = keras.Sequential([keras.Input((200,)), keras.layers.Dense(200)])
        model.compile(optimizer=keras.optimizers.Adam())
        model.stop_training = False
        file = TrainingStateFile(folder / "training_state.npz", {})
        fill_the_disk()
        file.write(model, [], [])
    """,
    "a run folder": """
        from capframe import Captioner, PluginManager, Registry, Vocabulary, run_folder
        from capframe.feature_parts import FeatureSource
        from capframe.trained import Trained
        registry = Registry(PluginManager(disabled={"*"}))
        captioner = Captioner(("imported", {"feature_shape": [4096]}), registry=registry)
        vocabulary = Vocabulary(["a", "dog"])
        model = captioner.composition.decoder.value.build((4096,), len(vocabulary))
        trained = Trained(model, vocabulary, FeatureSource("imported", {}, (4096,)), [], frozenset())
        fill_the_disk()
        with run_folder.new_run_folder(folder / "run") as working:
            trained.write(working, captioner.composition)
    """,
}


def limited(writer: str, folder: Path, bytes_left: int) -> subprocess.CompletedProcess[str]:
    program = textwrap.dedent(LIMITED) + "try:\n" + textwrap.indent(textwrap.dedent(WRITERS[writer]), "    ")
    program += "except CapframeError as error:\n    print(type(error).__name__, error)\n"
    return subprocess.run(
        [sys.executable, "-c", program, str(folder), str(bytes_left)],
        capture_output=True,
        text=True,
        check=True,
    )


@ONLY_POSIX
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_a_clear_error_and_leaves_nothing_broken(tmp_path, writer):
    earlier = [tmp_path / "features.pkl", tmp_path / "captions.csv"]
    for path in earlier:
        path.write_text("written earlier")

    done = limited(writer, tmp_path, bytes_left=100_000)

    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert "Cannot write" in done.stdout, done.stderr
    assert "Make room" in done.stdout
    assert str(tmp_path) in done.stdout
    assert not [name for name in left if name.endswith(".tmp") or ".partial" in name]
    assert not (tmp_path / "run").exists()
    assert [path.read_text() for path in earlier] == ["written earlier"] * 2
    if (tmp_path / "store").exists() and writer != "an export":
        assert FeatureStore(tmp_path / "store").names == []


FILLER = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from capframe.feature_filling import extract_features
    from capframe.features import FeatureSource

    class Slow:
        image_size, feature_shape, seen = (4, 4), (3,), 0
        def __call__(self, images):
            time.sleep(0.004)
            Slow.seen += len(images)
            return images.mean(axis=(1, 2), dtype=np.float32)

    folder, order = Path(sys.argv[1]), int(sys.argv[2])
    levels = list(range(200))[::order]
    images = {f"{level}.png": np.full((4, 4, 3), level, np.uint8) for level in levels}
    (folder / f"ready{order}").touch()
    while len(list(folder.glob("ready*"))) < 2:
        time.sleep(0.002)
    extract_features(Slow(), FeatureSource("mean-colour", {}, (3,)), images, folder / "store", batch_size=2,
                     part_size=6)
    (folder / f"computed{order}").write_text(str(Slow.seen))
"""


@pytest.mark.parametrize("orders", [(1, -1), (1, 2)])
def test_two_processes_fill_one_store_and_no_picture_is_lost(tmp_path, orders):
    """Both want the same pictures: from both ends, or one of them every other one."""
    program = [sys.executable, "-c", textwrap.dedent(FILLER), str(tmp_path)]
    processes = [subprocess.Popen([*program, str(order)]) for order in orders]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]

    store = FeatureStore(tmp_path / "store")
    expected = np.repeat(np.arange(200, dtype=np.float32)[:, None], 3, axis=1)
    assert sorted(store.names, key=lambda name: int(name[:-4])) == [f"{level}.png" for level in range(200)]
    assert np.array_equal(store.gather([f"{level}.png" for level in range(200)]), expected)
    assert not list((tmp_path / "store").glob(".*"))
    computed = sum(int(path.read_text()) for path in tmp_path.glob("computed*"))
    assert computed < sum(200 // abs(order) for order in orders), "neither took heed of the other"


def test_what_another_process_stored_meanwhile_is_not_stored_again(tmp_path):
    from capframe.feature_filling import extract_features

    other = FeatureStore.create(tmp_path, SOURCE)

    class Watching:
        """Another process stores the second picture while this one computes it."""

        image_size, feature_shape = (4, 4), (3,)

        def __call__(self, images):
            if "b" not in other:
                other.add(["b"], np.full((1, 3), 7, np.float32))
            return images.mean(axis=(1, 2), dtype=np.float32)

    images = {name: np.zeros((4, 4, 3), np.uint8) for name in "abc"}
    store = extract_features(Watching(), SOURCE, images, tmp_path, batch_size=3)

    stored = [name for part in sorted(tmp_path.glob("part-*")) for name in names_in(part)]
    assert sorted(stored) == ["a", "b", "c"]
    assert store.gather(["b"]).tolist() == [[7, 7, 7]]


def names_in(part: Path) -> list[str]:
    from capframe.feature_parts import read_part

    return read_part(part).names


def test_parts_that_killed_writers_left_behind_are_removed_when_they_are_old(tmp_path):
    FeatureStore.create(tmp_path, SOURCE).add(["a"], np.ones((1, 3), np.float32))
    old, young, other = (
        tmp_path / ".part-1-aa.arrow.tmp",
        tmp_path / ".part-2-bb.arrow.tmp",
        tmp_path / ".notes.tmp",
    )
    for path in (old, young, other):
        path.write_bytes(b"half a part")
    for path in (old, other):
        os.utime(path, (time.time() - LEFTOVER_SECONDS - 60,) * 2)

    store = FeatureStore.create(tmp_path, SOURCE)

    assert not old.exists()
    assert young.exists()  # another process may be writing it at this moment
    assert other.exists()
    assert store.names == ["a"]


def test_reading_a_store_changes_nothing_in_it(tmp_path):
    FeatureStore.create(tmp_path, SOURCE)
    old = tmp_path / ".part-1-aa.arrow.tmp"
    old.touch()
    os.utime(old, (0, 0))

    FeatureStore(tmp_path)

    assert old.exists()


def test_an_import_that_stopped_halfway_goes_on_where_it_stood(tmp_path, monkeypatch):
    rows = {f"{number:04}": np.array([number], np.float32) for number in range(1100)}
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(rows))
    add, parts = FeatureStore.add, []

    def add_once(self, names, features):
        if parts:
            raise KeyboardInterrupt
        parts.append(names)
        add(self, names, features)

    with monkeypatch.context() as interrupted:
        interrupted.setattr(FeatureStore, "add", add_once)
        with pytest.raises(KeyboardInterrupt):
            import_features(tmp_path / "f.pkl", tmp_path / "store")
    first = set((tmp_path / "store").glob("part-*"))

    done = import_features(tmp_path / "f.pkl", tmp_path / "store")

    assert done.added == 1100 - len(parts[0])
    assert first < set((tmp_path / "store").glob("part-*"))
    assert done.store.names == list(rows)
    assert done.store.gather(list(rows)).ravel().tolist() == list(range(1100))
