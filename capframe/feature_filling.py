"""Filling a feature store from pictures, so that it can be killed at any moment and resumed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FeatureStoreError, ImageError
from .feature_parts import FeatureSource, StorageDtype
from .features import FeatureStore
from .images import ImageSource, iterate_batches
from .interfaces import FeatureExtractor


def extract_features(
    extractor: FeatureExtractor,
    source: FeatureSource,
    images: Mapping[str, ImageSource],
    store_path: str | os.PathLike[str],
    *,
    batch_size: int = 32,
    part_size: int = 512,
    dtype: StorageDtype = "float32",
    progress: Callable[[int, int], None] | None = None,
    on_bad_image: Callable[[str, ImageError], None] | None = None,
) -> FeatureStore:
    """Fill a store with the features of pictures, each once; what is stored already is skipped.

    Args:
        extractor: turns pictures into features.
        source: describes the extractor in the store.
        images: name -> picture.
        store_path: folder of the store, new or partly filled.
        batch_size: pictures that the extractor gets at once.
        part_size: pictures in a part; a process that is killed loses about so many. After each part it is
            looked up what other processes have stored meanwhile.
        dtype: numbers in the files of a new store.
        progress: called with the number of pictures done (stored, computed or bad) and of all.
        on_bad_image: called with name and error of each picture that cannot be read, which is skipped.

    Raises:
        FeatureStoreError: the store is of another source, or the features have a wrong shape.
        ImageError: a picture cannot be read and there is no ``on_bad_image``.
    """
    store = FeatureStore.create(store_path, source, dtype)
    # A bit a picture, where the pictures themselves may be made only when they are asked for.
    missing = np.fromiter((name not in store for name in images), bool)
    done = len(images) - int(missing.sum())

    def advance(pictures: int) -> None:
        nonlocal done
        done += pictures
        if progress:
            progress(done, len(images))

    def skip(name: str, error: ImageError) -> None:
        if on_bad_image is None:
            raise error
        on_bad_image(name, error)
        advance(1)

    def remaining() -> Iterator[tuple[str, ImageSource]]:
        for name in compress(images, missing):
            if name in store:  # meanwhile, by another process
                advance(1)
            else:
                yield name, images[name]

    computed: list[tuple[list[str], NDArray[np.float32]]] = []
    advance(0)
    try:
        for names, batch in iterate_batches(remaining(), extractor.image_size, batch_size, skip):
            computed.append((names, _checked(extractor(batch), len(batch), source)))
            advance(len(names))
            if sum(len(names) for names, _ in computed) >= part_size:
                _write_out(store, computed)
    finally:
        # What was computed before an error or Ctrl-C need not be computed again.
        _write_out(store, computed)
    return store


def _write_out(store: FeatureStore, computed: list[tuple[list[str], NDArray[np.float32]]]) -> None:
    batches, computed[:] = list(computed), []
    if not batches:
        return
    names = [name for batch_names, _ in batches for name in batch_names]
    features = np.concatenate([features for _, features in batches])
    # Another process may fill the same store, and have been quicker with some of these.
    store.refresh()
    new = [row for row, name in enumerate(names) if name not in store]
    store.add([names[row] for row in new], features[new])


def _checked(features: NDArray[Any], pictures: int, source: FeatureSource) -> NDArray[np.float32]:
    array = np.asarray(features, np.float32)
    if array.shape != (pictures, *source.feature_shape):
        raise FeatureStoreError(
            f"'{source.extractor}' gave an array {list(array.shape)} for {pictures} pictures; by its "
            f"feature_shape that is {[pictures, *source.feature_shape]}: mend the extractor."
        )
    return array
