"""What people run today, written from its description and as its authors would write it.

A generator expands each caption into its prefixes, pads each to the longest caption and makes a one-hot
target; captions grow one ``predict`` a word; features are taken from one picture at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


def model_of(vocabulary: int, longest: int, *, features: int = 1280, units: int = 256) -> keras.Model:
    """Return the add-merge model with a softmax, compiled for one-hot targets."""
    layers = keras.layers
    picture = keras.Input((features,))
    projected = layers.Dense(units, activation="relu")(layers.Dropout(0.5)(picture))
    prefix = keras.Input((longest,))
    words = layers.Embedding(vocabulary, units, mask_zero=True)(prefix)
    words = layers.LSTM(units)(layers.Dropout(0.5)(words))
    hidden = layers.Dense(units, activation="relu")(layers.add([projected, words]))
    model = keras.Model([picture, prefix], layers.Dense(vocabulary, activation="softmax")(hidden))
    model.compile(loss="categorical_crossentropy", optimizer="adam")
    return model


def rows_of(
    captions: Sequence[Sequence[int]], features: NDArray[np.float32], longest: int, vocabulary: int
) -> tuple[tuple[NDArray[Any], NDArray[Any]], NDArray[Any]]:
    """Expand the captions of one picture: a row for each prefix, and its next word one-hot.

    A caption is its ids, start and end included.
    """
    pictures, prefixes, targets = [], [], []
    for caption in captions:
        for position in range(1, len(caption)):
            prefix = keras.utils.pad_sequences([caption[:position]], maxlen=longest)[0]
            target = keras.utils.to_categorical([caption[position]], num_classes=vocabulary)[0]
            pictures.append(features)
            prefixes.append(prefix)
            targets.append(target)
    return (np.array(pictures), np.array(prefixes)), np.array(targets)


def batches(
    captions: Sequence[Sequence[Sequence[int]]],
    features: NDArray[np.float32],
    longest: int,
    vocabulary: int,
    batch_size: int = 32,
) -> Iterator[Any]:
    """Yield batches of ``batch_size`` pictures with all prefixes of their captions, for ever."""
    gathered: list[Any] = []
    while True:
        for own, picture in zip(captions, features, strict=True):
            gathered.append(rows_of(own, picture, longest, vocabulary))
            if len(gathered) == batch_size:
                pictures, prefixes = (
                    np.concatenate([inputs[side] for inputs, _ in gathered]) for side in (0, 1)
                )
                yield (pictures, prefixes), np.concatenate([targets for _, targets in gathered])
                gathered = []


def caption(
    model: keras.Model, features: NDArray[np.float32], longest: int, start: int, end: int
) -> list[int]:
    """Grow one caption, the likeliest word at a time; return its ids without start and end."""
    ids = [start]
    for _ in range(longest):
        prefix = keras.utils.pad_sequences([ids], maxlen=longest)
        word = int(np.argmax(model.predict([features[None], prefix], verbose=0)))
        if word == end:
            break
        ids.append(word)
    return ids[1:]


def vgg16_features(network: keras.Model, path: Path) -> NDArray[np.float32]:
    """Take the features of one picture file."""
    image = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(224, 224)))
    return network.predict(keras.applications.vgg16.preprocess_input(image[None]), verbose=0)[0]
