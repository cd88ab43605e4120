from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from capframe import feature_parts
from capframe.errors import FeatureStoreError, ImageError
from capframe.feature_filling import extract_features
from capframe.features import FeatureSource, FeatureStore
from capframe.training_batches import read_features

SOURCE = FeatureSource("mean-colour", {"scale": 2.0}, (3,), "abcd")


class MeanColour:
    """The mean of red, green and blue; counts the pictures it sees."""

    image_size = (4, 4)
    feature_shape = (3,)

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return images.mean(axis=(1, 2), dtype=np.float32)


def plain(levels):
    return {f"{level}.png": np.full((4, 4, 3), level, np.uint8) for level in levels}


def rows(levels):
    return np.repeat(np.asarray(levels, np.float32)[:, None], 3, axis=1)


def parts(path):
    return sorted(path.glob("part-*.arrow"))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), shape=st.sampled_from([(3,), (2, 4), (1,)]))
def test_parts_written_are_parts_read(data, shape):
    numbers = arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), *map(st.just, shape)),
        elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
    )
    written = data.draw(st.lists(numbers, max_size=3))
    names = data.draw(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
            min_size=sum(map(len, written)),
            max_size=sum(map(len, written)),
            unique=True,
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore.create(folder, replace(SOURCE, feature_shape=shape))
        waiting = iter(names)
        for features in written:
            store.add([next(waiting) for _ in features], features)

        reopened = FeatureStore(folder)

        everything = np.concatenate([np.empty((0, *shape), np.float32), *written])
        assert reopened.names == names
        assert np.array_equal(reopened.gather(names), everything)
        assert np.array_equal(store.gather(names[::-1]), everything[::-1])


def test_gathering_follows_the_names_across_parts_and_repeats_them(tmp_path):
    store = FeatureStore.create(tmp_path, SOURCE)
    store.add(["a", "b"], rows([1, 2]))
    store.add(["c"], rows([3]))
    store.add(["d", "e"], rows([4, 5]))

    gathered = store.gather(["e", "a", "c", "c", "b", "d"])

    assert gathered.dtype == np.float32
    assert np.array_equal(gathered, rows([5, 1, 3, 3, 2, 4]))
    assert store.positions(["e", "a"]).tolist() == [4, 0]
    assert np.array_equal(store.gather_positions(np.array([4, 0])), rows([5, 1]))


def test_an_empty_store_can_be_opened_and_says_what_fills_it(tmp_path):
    FeatureStore.create(tmp_path / "store", SOURCE)

    store = FeatureStore(tmp_path / "store")

    assert (len(store), store.names, "a" in store) == (0, [], False)
    assert store.source == SOURCE
    assert store.gather([]).shape == (0, 3)


def test_float16_halves_the_numbers_and_gathers_as_float32(tmp_path):
    store = FeatureStore.create(tmp_path, SOURCE, "float16")
    store.add(["a"], np.array([[0.1, 1000.4, -2]], np.float32))

    gathered = FeatureStore(tmp_path).gather(["a"])

    assert gathered.dtype == np.float32
    assert gathered[0].tolist() == [float(np.float16(0.1)), 1000.5, -2.0]
    assert feature_parts.read_part(parts(tmp_path)[-1]).features.dtype == np.float16


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_training_reads_the_numbers_that_are_gathered(tmp_path, dtype):
    numbers = np.random.default_rng(0).normal(0, 100, (5, 3)).astype(dtype)
    numbers[0] = [6e-8, -0.0, 65504]  # the least and the greatest of float16
    store = FeatureStore.create(tmp_path / "store", SOURCE, dtype)
    store.add(list("abcde"), numbers)
    some = np.array([4, 0, 0, 2])

    read = read_features(store, some)

    assert read.dtype == np.float32
    assert np.array_equal(read, store.gather_positions(some))
    assert np.array_equal(read, numbers[some].astype(np.float32))


def test_a_number_too_large_for_float16_is_refused_by_name(tmp_path):
    store = FeatureStore.create(tmp_path, SOURCE, "float16")

    with pytest.raises(
        FeatureStoreError, match=r"'b' are not finite as float16.*fill a new store with float32"
    ):
        store.add(["a", "b"], rows([1, 70000]))

    assert len(store) == 0


def test_features_that_do_not_fit_are_refused(tmp_path):
    store = FeatureStore.create(tmp_path, SOURCE)
    store.add(["a"], rows([1]))

    with pytest.raises(FeatureStoreError, match=r"\[2, 3\], not \[2, 4\]"):
        store.add(["b", "c"], np.zeros((2, 4), np.float32))
    with pytest.raises(FeatureStoreError, match="'a'"):
        store.add(["a"], rows([1]))
    with pytest.raises(FeatureStoreError, match="twice"):
        store.add(["b", "b"], rows([1, 2]))
    with pytest.raises(FeatureStoreError, match="'c' are not finite"):
        store.add(["b", "c"], rows([1, np.nan]))
    assert FeatureStore(tmp_path).names == ["a"]


def test_missing_pictures_are_counted_and_the_first_five_named(tmp_path):
    store = FeatureStore.create(tmp_path, SOURCE)
    store.add(["a"], rows([1]))

    with pytest.raises(
        FeatureStoreError, match=r"no features of 7 pictures \('0', '1', '2', '3', '4', \.\.\.\)"
    ):
        store.positions([*map(str, range(7)), "a", "0"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"extractor": "vgg16"}, "vgg16"),
        ({"options": {"scale": 3.0}}, "scale=3.0"),
        ({"fingerprint": "ffff"}, "ffff"),
        ({"feature_shape": (4,)}, r"\[4"),
    ],
)
def test_a_store_of_another_source_is_refused_naming_both(tmp_path, change, named):
    FeatureStore.create(tmp_path, SOURCE)

    with pytest.raises(FeatureStoreError, match=named) as error:
        FeatureStore.create(tmp_path, replace(SOURCE, **change))

    assert "mean-colour(scale=2.0) [3, weights abcd]" in str(error.value)


def test_a_part_of_another_source_in_the_folder_is_named(tmp_path):
    FeatureStore.create(tmp_path / "one", SOURCE).add(["a"], rows([1]))
    FeatureStore.create(tmp_path / "two", replace(SOURCE, fingerprint="ffff")).add(["b"], rows([2]))
    stray = parts(tmp_path / "two")[-1]
    stray.replace(tmp_path / "one" / stray.name)

    with pytest.raises(FeatureStoreError, match=stray.name):
        FeatureStore(tmp_path / "one")


def test_where_there_is_no_store_the_error_says_how_to_fill_one(tmp_path):
    assert not FeatureStore.exists(tmp_path)
    with pytest.raises(FeatureStoreError, match="capframe extract"):
        FeatureStore(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(FeatureStoreError, match="Cannot write"):
        FeatureStore.create(tmp_path / "file", SOURCE)


def test_any_process_may_add_parts_and_the_first_of_a_picture_counts(tmp_path):
    ours, theirs = FeatureStore.create(tmp_path, SOURCE), FeatureStore.create(tmp_path, SOURCE)
    ours.add(["a", "b"], rows([1, 2]))
    theirs.add(["b", "c"], rows([20, 30]))

    store = FeatureStore(tmp_path)

    assert store.names == ["a", "b", "c"]
    assert len(store) == 3
    assert np.array_equal(store.gather(["c", "b", "a"]), rows([30, 2, 1]))


def test_pictures_become_features_in_parts_and_progress_is_told(tmp_path):
    progress = []

    store = extract_features(
        MeanColour(), SOURCE, plain(range(10)), tmp_path, batch_size=2, part_size=4,
        progress=lambda done, total: progress.append((done, total)),
    )  # fmt: skip

    assert np.array_equal(store.gather(["7.png", "2.png"]), rows([7, 2]))
    assert [len(feature_parts.read_part(part).names) for part in parts(tmp_path)] == [0, 4, 4, 2]
    assert progress == [(done, 10) for done in range(0, 11, 2)]


def test_what_is_stored_is_not_computed_again(tmp_path):
    extract_features(MeanColour(), SOURCE, plain(range(6)), tmp_path)
    extractor, progress = MeanColour(), []

    store = extract_features(
        extractor, SOURCE, plain(range(9)), tmp_path, progress=lambda *counts: progress.append(counts)
    )

    assert extractor.seen == 3
    assert progress == [(6, 9), (9, 9)]
    assert np.array_equal(store.gather(["8.png", "0.png"]), rows([8, 0]))


def test_bad_pictures_are_reported_skipped_and_counted(tmp_path):
    images = plain(range(5)) | {"2.png": np.zeros((4, 4, 2), np.uint8), "4.png": np.zeros(4, np.uint8)}
    bad, progress = [], []

    store = extract_features(
        MeanColour(), SOURCE, images, tmp_path,
        progress=lambda *counts: progress.append(counts), on_bad_image=lambda name, _: bad.append(name),
    )  # fmt: skip

    assert bad == ["2.png", "4.png"]
    assert store.names == ["0.png", "1.png", "3.png"]
    assert progress[-1] == (5, 5)


def test_without_a_callback_a_bad_picture_stops_the_work_but_loses_nothing(tmp_path):
    images = plain(range(4)) | {"bad.png": np.zeros((4, 4, 2), np.uint8)}

    with pytest.raises(ImageError):
        extract_features(MeanColour(), SOURCE, images, tmp_path, batch_size=2)

    assert FeatureStore(tmp_path).names == ["0.png", "1.png", "2.png", "3.png"]


def test_an_extractor_that_gives_another_shape_than_it_says_is_named(tmp_path):
    extractor = MeanColour()
    extractor.feature_shape = (4,)

    with pytest.raises(FeatureStoreError, match=r"'mean' gave an array \[2, 3\].*\[2, 4\]"):
        extract_features(extractor, FeatureSource.of(extractor, "mean"), plain(range(2)), tmp_path)


SLOW_EXTRACTION = """
    import sys, time
    import numpy as np
    from capframe.feature_filling import extract_features
    from capframe.features import FeatureSource

    class Slow:
        image_size, feature_shape = (4, 4), (3,)
        def __call__(self, images):
            time.sleep(0.005)
            return images.mean(axis=(1, 2), dtype=np.float32)

    images = {f"{level}.png": np.full((4, 4, 3), level, np.uint8) for level in range(250)}
    extract_features(Slow(), FeatureSource("mean-colour", {"scale": 2.0}, (3,), "abcd"), images, sys.argv[1],
                     batch_size=1, part_size=2)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_extraction_leaves_whole_parts_and_is_resumed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SLOW_EXTRACTION), str(tmp_path)])
    while len(parts(tmp_path)) < 6:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()

    survived = len(FeatureStore(tmp_path))
    extractor = MeanColour()
    store = extract_features(extractor, SOURCE, plain(range(250)), tmp_path)

    assert 10 <= survived < 250
    assert extractor.seen == 250 - survived
    assert np.array_equal(store.gather([f"{level}.png" for level in range(250)]), rows(range(250)))
