"""What a training goes over: the batches of its splits, as its objective needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .batches import CaptionBatches
from .features import FeatureStore
from .image_views import view_name
from .scratch_files import ScratchArray, pieces
from .self_critical import PictureBatches
from .training_options import TrainingOptions
from .vocabulary import Vocabulary

Batches = CaptionBatches | PictureBatches

_FOUND_AT_ONCE = 5_000


def training_batches(
    captions: Mapping[str, Mapping[str, Sequence[str]]],
    vocabulary: Vocabulary,
    store: FeatureStore,
    options: TrainingOptions,
) -> tuple[Batches, Batches | None]:
    """Return the batches to learn from, and those for validation where there is a dev split.

    Args:
        captions: split -> picture -> its clean captions.
        vocabulary: maps their words to ids.
        store: holds the features of the pictures.
        options: objective, size of a batch, seed.
    """
    train = _batches(captions["train"], vocabulary, store, options, None, validation=False)
    dev = captions.get("dev")
    return train, _batches(dev, vocabulary, store, options, train, validation=True) if dev else None


def read_features(store: FeatureStore, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the features at ``positions``, as `FeatureStore.gather_positions` does, in less time."""
    import tensorflow as tf

    # TensorFlow widens float16 in half the time that NumPy takes.
    widened: NDArray[np.float32] = tf.cast(store.gather_stored(positions), tf.float32).numpy()
    return widened


def _batches(
    captions: Mapping[str, Sequence[str]],
    vocabulary: Vocabulary,
    store: FeatureStore,
    options: TrainingOptions,
    frequencies: Batches | None,
    *,
    validation: bool,
) -> Batches:
    views = 1 if validation else options.views
    names = (view_name(image, view) for view in range(views) for image in captions)
    found = ScratchArray(np.int64)
    for piece in pieces(names, _FOUND_AT_ONCE):
        found.append(store.positions(piece))
    positions = found.mapped()
    texts, size, seed = captions.values(), options.batch_size, options.seed

    def features(pictures: NDArray[np.int64]) -> NDArray[np.float32]:
        return read_features(store, positions[pictures])

    if options.objective == "self-critical":
        known = frequencies if isinstance(frequencies, PictureBatches) else None
        return PictureBatches(
            list(texts),
            vocabulary,
            features,
            batch_size=size,
            seed=seed,
            views=views,
            frequencies=known,
        )
    return CaptionBatches(
        texts, vocabulary, features, batch_size=size, max_words=options.max_words, seed=seed, views=views
    )
