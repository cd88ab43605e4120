"""Pickled features of any NumPy and any protocol are read as they were meant, and written ones are plain."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from capframe.errors import FeatureStoreError
from capframe.feature_exchange import export_features, import_features
from capframe.feature_pickle import read_feature_pickle, write_feature_pickle
from capframe.features import FeatureStore

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
DTYPES = ("<f2", "<f4", "<f8", ">f4", ">f8", "i1", "u1", "<i2", "<i4", "<i8", "<u4")
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def saved(path: Path, value: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@settings(max_examples=150, deadline=None)
@given(data=st.data(), protocol=st.sampled_from(PROTOCOLS), dtype=st.sampled_from(DTYPES))
def test_what_pickle_writes_is_read_as_it_was(data, protocol, dtype):
    shape = data.draw(st.sampled_from([(1,), (5,), (2, 3), (2, 2, 2)]))
    elements = {"allow_nan": False, "allow_infinity": False} if "f" in dtype else {}
    row = arrays.arrays(dtype, shape, elements=elements or None)
    features = data.draw(st.dictionaries(NAMES, row, min_size=1, max_size=5))
    if data.draw(st.booleans()):
        features = {name: np.asfortranarray(value) for name, value in features.items()}
    with tempfile.TemporaryDirectory() as folder:
        read = read_feature_pickle(saved(Path(folder, "f.pkl"), features, protocol))

    assert list(read) == list(features)
    for name, value in features.items():
        expected = value[0] if value.ndim > 1 and len(value) == 1 else value
        assert read[name].dtype == value.dtype
        assert np.array_equal(read[name], expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_leading_dimension_of_one_is_dropped(tmp_path, protocol):
    path = saved(tmp_path / "f.pkl", {"1000": np.arange(4, dtype=np.float32).reshape(1, 4)}, protocol)

    assert read_feature_pickle(path)["1000"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_numpy_1_and_numpy_2_are_read_alike(tmp_path, core):
    written = pickle.dumps({"a": np.arange(3, dtype=np.float32)}, 2)
    for name in (b"numpy.core.", b"numpy._core."):
        written = written.replace(name, core.encode() + b".")
    (tmp_path / "f.pkl").write_bytes(written)

    assert f"{core}.multiarray".encode() in written
    assert read_feature_pickle(tmp_path / "f.pkl")["a"].tolist() == [0, 1, 2]


def test_strings_of_python_2_are_read(tmp_path):
    """Protocol 2 as Python 2 writes it: keys and numbers are byte strings (opcode U)."""
    content = (
        b"\x80\x02}q\x00(U\x07caf\xc3\xa9.sq\x01"
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07"
        b"(K\x01K\x02\x85q\x08cnumpy\ndtype\nq\x09U\x02f4q\x0aK\x00K\x01\x87q\x0bRq\x0c"
        b"(K\x03U\x01<q\x0dNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89"
        b"U\x08" + np.array([1.5, -2], "<f4").tobytes() + b"q\x0ftq\x10bu."
    )
    (tmp_path / "f.pkl").write_bytes(content)

    read = read_feature_pickle(tmp_path / "f.pkl")

    assert {name: row.tolist() for name, row in read.items()} == {"café.s": [1.5, -2.0]}


def test_a_view_is_read_without_its_base(tmp_path):
    whole = np.arange(20, dtype=np.float32).reshape(4, 5)
    path = saved(tmp_path / "f.pkl", {"odd": whole[:, 1], "even": whole[:, 2]}, 5)

    assert read_feature_pickle(path)["odd"].tolist() == [1, 6, 11, 16]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "its dict is empty"),
        ([np.ones(3)], "opcode EMPTY_LIST"),
        (np.ones(3), "not a dict of arrays"),
        ({1: np.ones(3)}, "a key that is no string but int"),
        ({b"a": np.ones(3)}, "a key that is no string but bytes"),
        ({"": np.ones(3)}, "the key '' is no name of a picture"),
        ({"a": [1.0, 2.0]}, "opcode EMPTY_LIST"),
        ({"a": 1}, "under 'a' it holds no array but int"),
        ({"a": {"b": np.ones(3)}}, "under 'a' it holds no array but dict"),
        ({"a": np.array(1.0)}, r"under 'a' it holds an array \[\]"),
        ({"a": np.empty(0)}, r"under 'a' it holds an array \[0\]"),
        ({"a": np.ones(3), "b": np.ones(4)}, r"under 'b' it holds an array \[4\], and the first is \[3\]"),
        ({"a": np.array([1.0, np.nan])}, "the array under 'a' has numbers that are not finite"),
        ({"a": np.array([np.inf])}, "the array under 'a' has numbers that are not finite"),
        ({"a": np.array(["x"])}, "an array of 'U1'"),
        ({"a": np.array([True])}, "an array of 'b1'"),
        ({"a": np.array([1j])}, "an array of 'c16'"),
        ({"a": np.array([{}], object)}, "an array of 'O8'"),
        ({"a": np.zeros(2, [("x", "f4")])}, "an array of 'V4'"),
        ({"a": np.float32(1)}, "asks for 'numpy._?core.multiarray.scalar'"),
        ({"a": np.ma.array([1.0])}, "asks for 'numpy.ma.*'"),
    ],
)
def test_what_is_no_dict_of_arrays_of_numbers_is_refused_with_the_reason(tmp_path, value, reason):
    path = saved(tmp_path / "other.pkl", value)

    with pytest.raises(FeatureStoreError, match=reason) as error:
        read_feature_pickle(path)

    assert f"Cannot read features from '{path}'" in str(error.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_file_that_is_cut_short_anywhere_is_refused(tmp_path, protocol):
    whole = pickle.dumps({"a": np.ones(3, np.float32), "b": np.ones(3, np.float32)}, protocol)

    for length in range(len(whole)):
        (tmp_path / "cut.pkl").write_bytes(whole[:length])
        with pytest.raises(FeatureStoreError, match=r"cut\.pkl"):
            read_feature_pickle(tmp_path / "cut.pkl")


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 8).flatmap(
        lambda width: st.dictionaries(
            NAMES,
            arrays.arrays(
                np.float32,
                width,
                elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
            ),
            min_size=1,
            max_size=6,
        )
    )
)
def test_importing_and_exporting_invert_each_other(rows):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.pkl"), Path(folder, "out.pkl")
        write_feature_pickle(source, rows.items())
        export_features(import_features(source, Path(folder, "store")).store, target)
        exported = pickle.loads(target.read_bytes())

    assert list(exported) == list(rows)
    assert all(np.array_equal(exported[name], row) for name, row in rows.items())


@pytest.mark.parametrize(
    ("dtype", "stored"), [("<f2", "float16"), (">f4", "float32"), ("<f8", "float32"), ("u1", "float32")]
)
def test_half_precision_stays_and_all_else_becomes_float32(tmp_path, dtype, stored):
    path = saved(tmp_path / "f.pkl", {"a": np.array([1, 250], dtype), "b": np.array([3, 4], dtype)})

    store = import_features(path, tmp_path / "store").store

    assert store.dtype == stored
    assert store.gather(["b", "a"]).tolist() == [[3, 4], [1, 250]]


def test_features_beyond_float32_are_named_before_anything_is_written(tmp_path):
    path = saved(tmp_path / "f.pkl", {"a": np.array([1.0]), "b": np.array([1e200])})

    with pytest.raises(FeatureStoreError, match="numbers of 'b' are too large"):
        import_features(path, tmp_path / "store")

    assert not (tmp_path / "store").exists()


def test_more_than_a_part_of_pictures_is_imported_in_order(tmp_path):
    rows = {f"{number:04}": np.array([number, -number], np.float32) for number in range(1200)}
    path = saved(tmp_path / "f.pkl", rows)

    import_features(path, tmp_path / "store")

    store = FeatureStore(tmp_path / "store")
    assert store.names == list(rows)
    assert store.gather(["0000", "0600", "1199"]).tolist() == [[0, 0], [600, -600], [1199, -1199]]


@pytest.mark.parametrize(
    ("keys", "names", "reason"),
    [
        (["a"], ["a.jpg", "a.png"], r"which picture 'a' is \(a\.jpg, a\.png\)"),
        (["a", "a.jpg"], ["a.jpg"], r"which picture 'a\.jpg' is"),
        (["x", "y"], ["a.jpg"], "none of its 2 keys is a picture in the captions"),
    ],
)
def test_names_that_cannot_be_matched_are_refused(tmp_path, keys, names, reason):
    path = saved(tmp_path / "f.pkl", {key: np.ones(3) for key in keys})

    with pytest.raises(FeatureStoreError, match=reason):
        import_features(path, tmp_path / "store", names=names)

    assert not (tmp_path / "store").exists()


def test_a_key_in_a_sub_folder_or_with_dots_finds_its_picture(tmp_path):
    path = saved(tmp_path / "f.pkl", {"b/1.2": np.ones(3), "c.jpg": np.zeros(3)})

    store = import_features(path, tmp_path / "store", names=["b/1.2.png", "c.jpg"]).store

    assert store.names == ["b/1.2.png", "c.jpg"]
