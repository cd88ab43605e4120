"""What the laws of decoders are tried on: models for vectors and grids, and small batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import CapframeError
from ..vocabulary import END, PAD, START
from .arrays import TOLERANCE, absolute_difference
from .laws import NotApplicable, Subject, require

WORDS = 13
VECTOR: tuple[int, ...] = (12,)
GRID: tuple[int, ...] = (5, 7)
SHAPES = (VECTOR, GRID)
TRAINING_STEPS = 30


class Case(NamedTuple):
    """A decoder with a model for one shape of features, and a batch of four pictures with captions."""

    decoder: Any
    model: Any
    features: NDArray[np.float32]
    tokens: NDArray[np.int32]

    def logits(self, features: Any = None, tokens: Any = None) -> NDArray[np.float32]:
        """Return the logits of the whole pass."""
        features = self.features if features is None else features
        return np.asarray(self.model([features, self.tokens if tokens is None else tokens], training=False))


def case_of(subject: Subject, shape: tuple[int, ...]) -> Case:
    """Build a model for a shape of features, with weights that make logits differ by units."""
    import keras

    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = subject.component.build(shape, WORDS)
    for weight in model.trainable_weights:
        weight.assign(weight + random.normal(0, 0.3, weight.shape))
    features = random.normal(size=(4, *shape)).astype(np.float32)
    tokens = random.integers(START + 1, WORDS, (4, 6)).astype(np.int32)
    tokens[:, 0] = START
    return Case(subject.component, model, features, tokens)


def cases(subject: Subject) -> Iterator[Case]:
    """Yield a case for each shape of features that the decoder takes."""
    refusals = []
    for shape in SHAPES:
        try:
            case = case_of(subject, shape)
        except Exception as error:  # that this is a CapframeError is a law of its own
            refusals.append(f"{shape}: {error}")
            continue
        yield case
    require(len(refusals) < len(SHAPES), f"no shape of features is taken: {'; '.join(refusals)}")


def taken(subject: Subject, shape: tuple[int, ...]) -> None:
    """Try features of a shape; that they are refused makes the law not applicable."""
    try:
        case_of(subject, shape)
    except CapframeError as error:
        raise NotApplicable(f"it refuses features of the shape {shape}: {error}") from error


def close(one: Any, other: Any, what: str) -> None:
    """Require that two arrays are equal to the tolerance."""
    difference = absolute_difference(one, other)
    require(difference <= TOLERANCE, f"{what} differ by {difference:.2g}")


def steps(case: Case) -> Iterator[tuple[Any, Any]]:
    """Yield logits and state after each word of the captions."""
    import tensorflow as tf

    state = case.decoder.start(case.model, tf.constant(case.features))
    for column in range(case.tokens.shape[1]):
        logits, state = case.decoder.step(case.model, tf.constant(case.tokens[:, column]), state)
        yield logits, state


def batch_of(shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Two pictures, told apart by their features, with two captions each."""
    features = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    pictures = np.array([0, 0, 1, 1], np.int32)
    captions = ((5, 6), (5, 7), (8, 9, 10), (8, 11, 10))
    inputs, targets = np.full((2, 4, 4), PAD, np.int32)
    for row, words in enumerate(captions):
        inputs[row, : len(words) + 1] = START, *words
        targets[row, : len(words) + 1] = *words, END
    return features, pictures, inputs, targets
