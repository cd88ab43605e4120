"""What a component must be able to do. One protocol a kind; no base class to inherit from.

The options of a component are the keyword arguments of its constructor, typed and with defaults.
``Args`` in the docstring of the constructor or class is what users read as their documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

DecoderState: TypeAlias = Any
"""A nest (dict, tuple, list) of tensors, each with the batch as its first dimension and with a shape
that does not change from step to step, so that search can gather, repeat and loop over it."""


@runtime_checkable
class FeatureExtractor(Protocol):
    """Turns pictures into features.

    It owns its normalisation and compiles its own function once; capframe owns reading and resizing.
    An extractor with trained weights may also have a string attribute ``fingerprint`` (a hash of the
    weights): a feature store that was filled with other weights is then refused.

    Attributes:
        image_size: ``(height, width)`` in pixels to which pictures are resized.
        feature_shape: shape of one picture's features: ``(4096,)`` is a vector, ``(49, 1280)`` a grid
            of 49 regions.
    """

    image_size: tuple[int, int]
    feature_shape: tuple[int, ...]

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map RGB ``images`` uint8 ``[N, height, width, 3]`` to features float32 ``[N, *feature_shape]``."""
        ...


@runtime_checkable
class TextCleaner(Protocol):
    """Cleans one caption. Pure and idempotent: cleaning twice changes nothing more."""

    def __call__(self, caption: str) -> str:
        """Return the clean caption: words separated by single spaces."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """The network that predicts the next word. How captions are searched with it is not its business."""

    def build(self, feature_shape: tuple[int, ...], vocabulary_size: int) -> keras.Model:
        """Return a model that maps ``[features, tokens]`` to logits.

        ``features`` is float32 ``[B, *feature_shape]``, ``tokens`` int32 ``[B, T]`` (``<start>`` first,
        0 is padding, only at the end), and the logits are float32 ``[B, T, V]``. Position t predicts
        token t + 1 and sees no token after t.
        """
        ...

    def start(self, model: keras.Model, features: tf.Tensor) -> DecoderState:
        """Return the state before the first word, for ``features`` float32 ``[B, *feature_shape]``."""
        ...

    def step(
        self, model: keras.Model, tokens: tf.Tensor, state: DecoderState
    ) -> tuple[tf.Tensor, DecoderState]:
        """Go one word further: ``tokens`` int32 ``[B]`` -> (logits float32 ``[B, V]``, next state).

        Stepping over a caption gives the logits of ``build``'s model to 1e-4.
        """
        ...
