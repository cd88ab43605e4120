"""Read a file of PyTorch weights without PyTorch, and without running code from the file.

``torch.save`` before version 1.6 wrote five pickles one after the other (a magic number, the protocol,
facts about the machine, the tensors, the keys of the storages) and then each storage: its length as
int64 and its raw numbers. A tensor is a view of a storage: offset, shape and strides.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capframe.errors import CapframeError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


class WeightsFileError(CapframeError):
    """A weights file that is broken, or of another kind than was expected."""


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    length: int


class _View(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, numbers: NDArray[Any]) -> NDArray[Any]:
        reach = sum((length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True))
        inside = self.offset >= 0 and min(self.strides, default=0) >= 0 and min(self.shape, default=1) > 0
        if not inside or self.offset + reach >= len(numbers):
            raise pickle.UnpicklingError("a tensor reaches beyond its storage")
        steps = tuple(stride * numbers.itemsize for stride in self.strides)
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps, writeable=False)
        return np.ascontiguousarray(view).reshape(self.shape)


def _view(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _View:
    """Stand for ``torch._utils._rebuild_tensor_v2``; what it is told of gradients is of no use here."""
    return _View(storage, int(offset), tuple(shape), tuple(strides))


class _WeightsUnpickler(pickle.Unpickler):
    """Admits tensors in an ordered dict, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module == "torch" and name in STORAGE_DTYPES:
            return np.dtype(STORAGE_DTYPES[name])
        raise pickle.UnpicklingError(f"it asks for '{module}.{name}', which weights do not need")

    def persistent_load(self, persistent_id: Any) -> _Storage:
        kind, dtype, key, _device, length, view = persistent_id
        if kind != "storage" or view is not None or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError("it holds a storage of an unknown kind")
        return _Storage(str(key), dtype, int(length))


def read_torch_pickle(path: Path) -> dict[str, NDArray[Any]]:
    """Read the weights in a file that ``torch.save`` wrote before PyTorch 1.6.

    Args:
        path: a file that holds one dict of tensors (a "state dict").

    Returns:
        Name of each tensor -> contiguous array, whatever the strides in the file.

    Raises:
        WeightsFileError: the file is missing, cut short, of another kind, or asks for code.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        EOFError,
        pickle.PickleError,
    ) as error:
        raise WeightsFileError(
            f"Cannot read weights from '{path}': {error}. Install the package it came with again, or give "
            "another file."
        ) from error


def _read(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    if _WeightsUnpickler(file).load() != MAGIC_NUMBER or _WeightsUnpickler(file).load() != PROTOCOL:
        raise pickle.UnpicklingError("it is not a PyTorch file of the kind before 1.6")
    machine = _WeightsUnpickler(file).load()
    if not machine["little_endian"]:
        raise pickle.UnpicklingError("it was written on a big-endian machine")
    views: dict[str, _View] = _WeightsUnpickler(file).load()
    storages = {view.storage.key: view.storage for view in views.values()}
    numbers: dict[str, NDArray[Any]] = {}
    for key in _WeightsUnpickler(file).load():
        length = int.from_bytes(file.read(8), "little")
        storage = storages[key]
        if length != storage.length:
            raise pickle.UnpicklingError("a storage has another length than announced; the file is damaged")
        content = file.read(length * storage.dtype.itemsize)
        numbers[key] = np.frombuffer(content, storage.dtype)
        if len(numbers[key]) != length:
            raise EOFError("it ends too early")
    return {name: view.of(numbers[view.storage.key]) for name, view in views.items()}
