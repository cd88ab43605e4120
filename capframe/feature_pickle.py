"""Feature files of other tools: a pickled dict {picture name: array}, read safely and written."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FeatureStoreError
from .pickled_arrays import PickleRefusedError, load_arrays

PROTOCOL = 4


def read_feature_pickle(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read a pickled dict of arrays. No code from the file is run; see `capframe.pickled_arrays`.

    Returns:
        Key -> row, in the order of the file: arrays of one shape, of whatever numbers the file has. A
        leading dimension of 1, as ``predict`` leaves it, is dropped: ``(1, 4096)`` becomes ``(4096,)``.

    Raises:
        FeatureStoreError: the file is missing, damaged, or is no dict {string: array of finite numbers of one
            shape}; names the file and the reason.
    """
    try:
        return _rows(load_arrays(Path(path)))
    except (PickleRefusedError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise FeatureStoreError(
            f"Cannot read features from '{path}': {reason or error}. Give a pickled dict of picture names "
            "and arrays of numbers."
        ) from error


def _rows(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    if not arrays:
        raise PickleRefusedError("its dict is empty")
    rows = {
        key: array[0] if array.ndim > 1 and array.shape[0] == 1 else array for key, array in arrays.items()
    }
    shape = next(iter(rows.values())).shape
    for key, row in rows.items():
        if not key or any("\ud800" <= character <= "\udfff" for character in key):
            raise PickleRefusedError(f"the key {key[:80]!r} is no name of a picture")
        if row.shape != shape or not row.ndim or not row.size:
            raise PickleRefusedError(
                f"under '{key[:80]}' it holds an array {list(row.shape)}, and the first is {list(shape)}; "
                "features have one shape, and at least one number"
            )
        if not np.isfinite(row).all():
            raise PickleRefusedError(f"the array under '{key[:80]}' has numbers that are not finite")
    return rows


def write_feature_pickle(path: str | os.PathLike[str], rows: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """Write a dict {name: array} with pickle protocol 4, whole or not at all.

    Raises:
        FeatureStoreError: it cannot be written.
    """
    file = Path(path)
    aside = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with aside.open("wb") as opened:
            pickle.dump(dict(rows), opened, PROTOCOL)
            opened.flush()
            os.fsync(opened.fileno())
        aside.replace(file)
    except OSError as error:
        raise FeatureStoreError(
            f"Cannot write '{file}': {error}. Make room, or choose another place."
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink()
