"""Laws of feature extractors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import TOLERANCE, relative_difference
from .laws import ConformanceError, LawBook, Subject, require


def _pictures(component: Any, number: int = 5) -> NDArray[np.uint8]:
    height, width = component.image_size
    return np.random.default_rng(0).integers(0, 256, (number, height, width, 3), np.uint8)


def _features(component: Any, pictures: NDArray[np.uint8]) -> NDArray[Any]:
    """Return the features of a copy of the pictures, which the extractor may spoil; that has its own law."""
    return np.array(component(pictures.copy()))


def _outcome(component: Any) -> NDArray[Any]:
    return _features(component, _pictures(component))


BOOK = LawBook(_outcome)


def _same(one: NDArray[Any], other: NDArray[Any], what: str) -> None:
    difference = relative_difference(one, other)
    require(difference <= TOLERANCE, f"{what} differ by {difference:.2g} of the largest")


@BOOK.law(
    "Set image_size to (height, width) in pixels, and feature_shape to the shape of one picture's features."
)
def sizes_are_well_formed(subject: Subject) -> None:
    """``image_size`` is two, and ``feature_shape`` one or more, whole numbers above 0, in tuples."""
    for name, lengths in (("image_size", {2}), ("feature_shape", {1, 2, 3})):
        value = getattr(subject.component, name)
        good = isinstance(value, tuple) and len(value) in lengths
        require(good and all(type(size) is int and size > 0 for size in value), f"{name} is {value!r}")


@BOOK.law("Return np.asarray(features, np.float32), one row a picture, each of the shape feature_shape.")
def features_are_float32_of_the_shape(subject: Subject) -> None:
    """N pictures give a float32 array ``[N, *feature_shape]``."""
    features = subject.component(_pictures(subject.component, 3))
    expected = (3, *subject.component.feature_shape)
    if not isinstance(features, np.ndarray):
        raise ConformanceError(f"a {type(features).__name__} instead of a NumPy array")
    require(features.dtype == np.float32, f"dtype {features.dtype}")
    require(features.shape == expected, f"shape {features.shape} where {expected} is due")


@BOOK.law("Look for divisions by zero on pictures of one colour.")
def features_are_finite(subject: Subject) -> None:
    """Black, white and random pictures give numbers, never infinities or NaN."""
    pictures = _pictures(subject.component, 3)
    pictures[0], pictures[1] = 0, 255
    finite = np.isfinite(_features(subject.component, pictures)).reshape(3, -1).all(axis=1)
    kinds = ("a black picture", "a white picture", "a random picture")
    bad = [kind for kind, good in zip(kinds, finite, strict=True) if not good]
    require(not bad, f"features that are not finite, of {' and '.join(bad)}")


@BOOK.law("Make what is random (weights, projections) in the constructor, from a seed; use no dropout.")
def same_pictures_give_same_features(subject: Subject) -> None:
    """The same pictures give the same features, again and from a component built anew."""
    pictures = _pictures(subject.component)
    first = _features(subject.component, pictures)
    _same(first, _features(subject.component, pictures), "the features of a second call")
    anew = _features(subject.build(), pictures)
    _same(first, anew, "the features of a second component with the same options")


@BOOK.law("Treat each picture by itself: no statistics over the batch, no padding that leaks into features.")
def batch_size_does_not_matter(subject: Subject) -> None:
    """A picture has the same features alone as among others."""
    pictures = _pictures(subject.component)
    together = _features(subject.component, pictures)
    parts = (slice(0, 1), slice(1, 3), slice(3, 5))
    apart = np.concatenate([_features(subject.component, pictures[rows]) for rows in parts])
    _same(together, apart, "features in a batch of 5 and in batches of 1 and 2")


@BOOK.law("Copy the pictures before changing them: images.astype(np.float32) does.")
def pictures_are_left_as_they_are(subject: Subject) -> None:
    """The array of pictures that is passed in is not changed."""
    pictures = _pictures(subject.component, 2)
    before = pictures.copy()
    subject.component(pictures)
    require(bool((pictures == before).all()), "the pictures were changed")
