"""What a component must be able to do. One protocol a kind; no base class to inherit from.

The options of a component are the keyword arguments of its constructor, typed and with defaults.
``Args`` in the docstring of the constructor or class is what users read as their documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

DecoderState: TypeAlias = Any
"""A nest (dict, tuple, list) of tensors, each with the batch as its first dimension and with a shape
that does not change from step to step, so that search can gather, repeat and loop over it."""


class CaptionSample(NamedTuple):
    """One of the samples that a callback gets from ``self.params["caption_samples"]()``.

    Attributes:
        image: name of the picture.
        picture: RGB uint8 ``[H, W, 3]``; None where training has features but no pictures.
        caption: by greedy search, with the weights of the moment.
    """

    image: str
    picture: NDArray[np.uint8] | None
    caption: str


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

        Stepping over a caption gives the logits of ``build``'s model to 1e-4. Search compiles it, and runs it
        eagerly for the first picture alone. For single pictures that come again and again the batch has a
        known size, and XLA compiles the step if it can.
        """
        ...


@runtime_checkable
class TeacherForcing(Protocol):
    """What a decoder may offer besides, to be trained faster: each picture once, and no padding.

    Its logits are then ``hidden @ kernel + bias``, equal to those of ``build``'s model to 1e-4 where nothing
    is dropped. A decoder without it is trained by its model alone.
    """

    def hidden_words(
        self,
        model: keras.Model,
        features: tf.Tensor,
        pictures: tf.Tensor,
        tokens: tf.Tensor,
        training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return hidden states float32 ``[W, U]`` and places int32 ``[W]`` of the words, in any order.

        Args:
            model: what ``build`` returned.
            features: float32 ``[P, *feature_shape]``, of each picture.
            pictures: int32 ``[C]``: which of the P pictures each caption describes.
            tokens: int32 ``[C, T]``; 0 is padding, only at the end.
            training: whether to drop features and words.

        A place is where the word stands in ``tokens``, read row by row; no padding is among them.
        """
        ...

    def output_weights(self, model: keras.Model) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the kernel float32 ``[U, V]`` and the bias float32 ``[V]`` of the last layer."""
        ...


@runtime_checkable
class Attention(Protocol):
    """What a decoder that weighs the regions of a picture may offer besides, so that they can be shown."""

    def attention(self, model: keras.Model, features: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
        """Return the weights of the R regions with which token t + 1 was predicted: float32 ``[B, T, R]``.

        Each row sums to 1, and no token after t matters. ``features`` and ``tokens`` are those of ``build``'s
        model; a vector is one region.
        """
        ...


class StoredImage(Protocol):
    """A picture file that is read when it is looked at: a ``pathlib.Path``, or what else has this method."""

    def read_bytes(self) -> bytes:
        """Return its bytes.

        Raises:
            OSError: they cannot be read.
        """
        ...


@dataclass(frozen=True)
class CaptionedImages:
    """What a caption file says.

    Attributes:
        captions: picture name -> its captions, with their exact text, both in the order of the file. A
            name is the path of the picture, with ``/``, relative to a folder that the user gives. A
            caption may be empty; what the file says twice is there twice.
        splits: split -> picture names, where the format has splits (``train``, ``dev``, ``test``).
        images: picture name -> its file or its encoded bytes, where the format says or holds them.
    """

    captions: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: Mapping[str, StoredImage | bytes] = field(default_factory=dict)


@runtime_checkable
class DatasetReader(Protocol):
    """Reads the caption files (or folders) of one format."""

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is of this format, judged by its content; cheap, and never raises."""
        ...

    def read(self, path: Path) -> CaptionedImages:
        """Read it.

        Raises:
            DatasetError: something in it is wrong; cites file, line and reason.
        """
        ...


@runtime_checkable
class Metric(Protocol):
    """Scores captions against references, both cut into words by the one fixed scoring normalisation."""

    def __call__(
        self, hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the score of all N pictures, and float64 ``[N]``: the score of each.

        ``hypotheses[n]`` are the words of picture n's caption, ``references[n]`` its references, each
        a sequence of words.
        """
        ...
