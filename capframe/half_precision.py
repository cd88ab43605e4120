"""Weights of a trained captioner in half precision: half the size on disk, for passing it on."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .errors import RunFolderError
from .model_weights import WEIGHTS


def halve_weights(path: Path) -> None:
    """Rewrite a ``.keras`` file with its float32 weights as float16; Keras reads both alike.

    Raises:
        RunFolderError: a weight is too large for float16.
    """
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[WEIGHTS] = _halved(parts[WEIGHTS])
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            # A time of its own would make two files of the same weights differ.
            archive.writestr(zipfile.ZipInfo(name), part)


def _halved(weights: bytes) -> bytes:
    import h5py

    halved = io.BytesIO()
    with h5py.File(io.BytesIO(weights), "r") as old, h5py.File(halved, "w") as new:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Group):
                target = new.require_group(name)
            else:
                target = new.create_dataset(name, data=_rounded(name, item[()]))
            target.attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)
    return halved.getvalue()


def _rounded(name: str, weight: Any) -> Any:
    if weight.dtype != np.float32:
        return weight
    with np.errstate(over="ignore"):
        rounded = weight.astype(np.float16)
    if not np.array_equal(np.isfinite(rounded), np.isfinite(weight)):
        raise RunFolderError(f"The weights '{name}' are too large for half precision. Save them as they are.")
    return rounded
