"""Features from and for other tools: a pickled dict into a feature store, and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import FeatureStoreError
from .feature_parts import FeatureSource, StorageDtype
from .feature_pickle import read_feature_pickle, write_feature_pickle
from .features import FeatureStore
from .image_views import is_view

IMPORTED = "imported"
"""The extractor that stands for one that nobody named."""

_PART_SIZE = 512


class Imported(NamedTuple):
    """What an import did.

    Attributes:
        store: the feature store.
        added: how many pictures are new in it.
        unmatched: keys that belong to no picture of the caption file; they keep their name.
        without_ending: whether no name in the file has a file ending.
    """

    store: FeatureStore
    added: int
    unmatched: list[str]
    without_ending: bool


def import_features(
    path: str | os.PathLike[str],
    store_path: str | os.PathLike[str],
    *,
    extractor: str = IMPORTED,
    options: Mapping[str, Any] | None = None,
    names: Iterable[str] | None = None,
) -> Imported:
    """Fill a feature store from a pickled dict of arrays; see `read_feature_pickle`.

    Nothing is written before all is checked. Pictures that the store has already are left as they are, so
    that an import which was interrupted can be repeated. Rows of float16 stay float16, all others become
    float32.

    Args:
        path: the pickle file.
        store_path: folder of the store, new or filled from the same source.
        extractor: name of the feature extractor that made the features.
        options: its options; by default, for an unnamed extractor, the shape of the features.
        names: picture names. A key that is one of them without its ending (``1000`` for ``1000.jpg``) is
            stored under that name.

    Raises:
        FeatureStoreError: the file is refused, two keys mean one picture, no key is among ``names``, or the
            store was filled by something else.
    """
    rows = read_feature_pickle(path)
    without_ending = not any(PurePosixPath(key).suffix for key in rows)
    unmatched: list[str] = []
    if names is not None:
        rows, unmatched = _renamed(Path(path), rows, names)
    shape = next(iter(rows.values())).shape
    if options is None:
        options = {"feature_shape": list(shape)} if extractor == IMPORTED else {}
    dtype: StorageDtype = "float16" if all(row.dtype == np.float16 for row in rows.values()) else "float32"
    for name, row in rows.items():
        with np.errstate(over="ignore"):
            if not np.isfinite(row.astype(np.float32, copy=False)).all():
                raise FeatureStoreError(
                    f"Cannot read features from '{path}': the numbers of '{name}' are too large for float32. "
                    "Scale them."
                )
    store = FeatureStore.create(store_path, FeatureSource(extractor, options, shape), dtype)
    missing = [name for name in rows if name not in store]
    for first in range(0, len(missing), _PART_SIZE):
        part = missing[first : first + _PART_SIZE]
        store.add(part, np.stack([rows[name].astype(store.dtype, copy=False) for name in part]))
    return Imported(store, len(missing), unmatched, without_ending)


def export_features(
    store: FeatureStore,
    path: str | os.PathLike[str],
    *,
    endings: bool = True,
    batch_axis: bool = False,
) -> None:
    """Write a store as a pickled dict {picture name: array}; views that were trained on are left out.

    Args:
        store: the feature store.
        path: file to write.
        endings: keep the file endings of the names.
        batch_axis: give each array a leading dimension of 1, as tools expect that store what ``predict``
            returned.

    Raises:
        FeatureStoreError: it cannot be written, or two names are the same without their endings.
    """
    names = [name for name in store.names if not is_view(name)]
    keys = dict(zip(names, map(str if endings else _stem, names), strict=True))
    if len(set(keys.values())) < len(keys):
        raise FeatureStoreError(
            f"Some pictures in '{store.path}' have the same name without its ending: keep the endings."
        )
    write_feature_pickle(
        path,
        ((keys[name], row[np.newaxis] if batch_axis else row) for name, row in store.rows() if name in keys),
    )


def _stem(name: str) -> str:
    return name.removesuffix(PurePosixPath(name).suffix)


def _renamed(
    file: Path, rows: Mapping[str, NDArray[Any]], names: Iterable[str]
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Give each row the name of its picture; also return the keys that are no picture's."""
    known = set(names)
    stems: dict[str, list[str]] = {}
    for name in sorted(known):
        stems.setdefault(_stem(name), []).append(name)
    renamed: dict[str, NDArray[Any]] = {}
    unmatched = []
    for key, row in rows.items():
        candidates = [key] if key in known else stems.get(key, [])
        if len(candidates) > 1 or any(name in renamed for name in candidates):
            raise FeatureStoreError(
                f"Cannot read features from '{file}': it is not clear which picture '{key}' is "
                f"({', '.join(candidates)}). Write the names with their endings."
            )
        if not candidates:
            unmatched.append(key)
        renamed[candidates[0] if candidates else key] = row
    if len(unmatched) == len(rows):
        raise FeatureStoreError(
            f"Cannot read features from '{file}': none of its {len(rows)} keys is a picture in the captions "
            f"('{unmatched[0]}' is not, with or without an ending). Give the caption file that belongs to it."
        )
    return renamed, unmatched
