from __future__ import annotations

import collections
import os
import pickle
import sys
import types

import numpy as np
import pytest

from capframe.default_plugins.feature_extractors.torch_pickle import (
    MAGIC_NUMBER,
    PROTOCOL,
    WeightsFileError,
    read_torch_pickle,
)


class Tensor:
    """Pickles as a PyTorch tensor: a view of a storage."""

    def __init__(self, storage, offset, shape, strides):
        self.view = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.view


class Storage:
    def __init__(self, key, kind, numbers):
        self.key, self.kind, self.numbers = key, kind, numbers


class TorchPickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            return (
                "storage",
                getattr(sys.modules["torch"], value.kind),
                value.key,
                "cpu",
                len(value.numbers),
                None,
            )
        return None


@pytest.fixture
def torch_names(monkeypatch):
    """The names that PyTorch's files mention, so that such files can be written without PyTorch."""
    torch, inner = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in ("FloatStorage", "LongStorage", "StringStorage"):
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise AssertionError("only its name is of use")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    inner._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", inner)


def write_torch_file(path, weights, storages, magic=MAGIC_NUMBER):
    machine = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}
    with path.open("wb") as file:
        for value in (magic, PROTOCOL, machine, weights, [storage.key for storage in storages]):
            TorchPickler(file, protocol=2).dump(value)
        for storage in storages:
            file.write(len(storage.numbers).to_bytes(8, "little") + storage.numbers.tobytes())
    return path


@pytest.mark.usefixtures("torch_names")
def test_a_tensor_is_read_by_its_strides_and_offset(tmp_path):
    floats = Storage("1", "FloatStorage", np.arange(30, dtype="<f4"))
    longs = Storage("2", "LongStorage", np.array([7], "<i8"))
    weights = collections.OrderedDict(
        plain=Tensor(floats, 0, (5, 6), (6, 1)),
        transposed=Tensor(floats, 0, (6, 5), (1, 6)),
        channels_last=Tensor(floats, 6, (2, 3, 2, 2), (12, 1, 6, 3)),
        scalar=Tensor(longs, 0, (), ()),
    )
    read = read_torch_pickle(write_torch_file(tmp_path / "weights.pth", weights, [longs, floats]))

    numbers = np.arange(30, dtype=np.float32)
    assert list(read) == list(weights)
    assert np.array_equal(read["plain"], numbers.reshape(5, 6))
    assert np.array_equal(read["transposed"], numbers.reshape(5, 6).T)
    assert np.array_equal(read["channels_last"], numbers[6:].reshape(2, 2, 2, 3).transpose(0, 3, 1, 2))
    assert (read["scalar"].shape, read["scalar"].dtype, int(read["scalar"])) == ((), np.int64, 7)


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


@pytest.mark.usefixtures("torch_names")
@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (Attack(), r"mkdir"),
        ({"a": Tensor(Storage("1", "StringStorage", np.zeros(2, "<f4")), 0, (2,), (1,))}, "StringStorage"),
        (
            {"a": Tensor(Storage("1", "FloatStorage", np.zeros(2, "<f4")), 1, (2,), (1,))},
            "beyond its storage",
        ),
        (
            {"a": Tensor(Storage("1", "FloatStorage", np.zeros(2, "<f4")), 0, (2,), (-1,))},
            "beyond its storage",
        ),
        (
            {"a": Tensor(Storage("1", "FloatStorage", np.zeros(2, "<f4")), -1, (2,), (1,))},
            "beyond its storage",
        ),
        ([1, 2], "values"),
    ],
)
def test_a_file_that_asks_for_more_than_its_numbers_is_refused(tmp_path, monkeypatch, weights, reason):
    monkeypatch.chdir(tmp_path)
    path = write_torch_file(
        tmp_path / "weights.pth", weights, [Storage("1", "FloatStorage", np.zeros(2, "<f4"))]
    )

    with pytest.raises(WeightsFileError, match=reason) as error:
        read_torch_pickle(path)

    assert str(path) in str(error.value)
    assert not (tmp_path / "attacked").exists()


@pytest.mark.usefixtures("torch_names")
def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    storage = Storage("1", "FloatStorage", np.arange(30, dtype="<f4"))
    path = write_torch_file(tmp_path / "weights.pth", {"a": Tensor(storage, 0, (30,), (1,))}, [storage])
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsFileError):
            read_torch_pickle(path)


@pytest.mark.usefixtures("torch_names")
def test_other_files_are_refused(tmp_path):
    for content in (b"PK\x03\x04 a zip", b"", pickle.dumps({"a": 1})):
        (tmp_path / "other.pth").write_bytes(content)
        with pytest.raises(WeightsFileError, match=r"other\.pth"):
            read_torch_pickle(tmp_path / "other.pth")
    with pytest.raises(WeightsFileError, match="kind before"):
        read_torch_pickle(write_torch_file(tmp_path / "magic.pth", {}, [], magic=7))
    with pytest.raises(WeightsFileError, match="No such file"):
        read_torch_pickle(tmp_path / "missing.pth")
