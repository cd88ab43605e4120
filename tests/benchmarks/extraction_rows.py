"""Extraction: picture files to a store, against ONNX Runtime, the bare forward pass and the notebook."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import notebook
import numpy as np
import onnx_lite0
from drawn import drawn_photographs
from harness import Row, ratio_row, ratios, take_turns

from capframe.default_plugins.feature_extractors.efficientnet_lite import EfficientNetLite0
from capframe.default_plugins.feature_extractors.vgg16 import VGG16
from capframe.feature_filling import extract_features
from capframe.feature_parts import FeatureSource
from capframe.images import read_image


def efficientnet(quick: bool, repeats: int) -> list[Row]:
    """Fill a store from JPEG files, against ONNX Runtime on arrays that are decoded already."""
    pictures = 32 if quick else 256
    extractor = EfficientNetLite0()
    session = onnx_lite0.session_of(extractor)
    with tempfile.TemporaryDirectory() as folder:
        photographs = drawn_photographs(Path(folder) / "images", pictures)
        decoded = np.stack([read_image(path, (224, 224)) for path in photographs.values()])
        theirs = session.run(None, {"images": decoded[:8]})[0]
        difference = float(np.abs(theirs - extractor(decoded[:8])).max())
        seconds = take_turns(
            {
                "store": lambda: _fill(extractor, "efficientnet-lite0", photographs, Path(folder) / "store"),
                **{
                    f"onnx {batch}": lambda batch=batch: [
                        session.run(None, {"images": decoded[first : first + batch]})
                        for first in range(0, pictures, batch)
                    ]
                    for batch in (1, 16)
                },
                "arrays": lambda: [
                    extractor(decoded[first : first + 32]) for first in range(0, pictures, 32)
                ],
            },
            repeats,
        )
    best = min(("onnx 1", "onnx 16"), key=lambda name: np.median(seconds[name]))
    rate = {name: pictures / np.median(some) for name, some in seconds.items()}
    return [
        ratio_row(
            "extraction, EfficientNet-Lite0, JPEG files to store, against ONNX Runtime on decoded arrays",
            "at least",
            1.0,
            "times",
            ratios(seconds, best, "store"),
            detail=f"{rate['store']:.0f} against {rate[best]:.0f} pictures/s; capframe on decoded arrays "
            f"{rate['arrays']:.0f}; features differ by {difference:.1g}",
        )
    ]


def vgg16(quick: bool, repeats: int) -> list[Row]:
    """Fill a store from JPEG files with VGG16 of random weights, against the bare pass and the notebook."""
    pictures = 4 if quick else 32
    with tempfile.TemporaryDirectory() as folder:
        keras.utils.set_random_seed(0)
        network = keras.applications.VGG16(weights=None)
        weights = Path(folder) / "vgg16.weights.h5"
        network.save_weights(weights)
        extractor = VGG16(str(weights))
        bare = keras.Model(network.input, network.get_layer("fc2").output)
        photographs = drawn_photographs(Path(folder) / "images", pictures)
        decoded = np.stack([read_image(path, (224, 224)) for path in photographs.values()])
        few = list(photographs.values())[: max(pictures // 8, 1)]
        seconds = take_turns(
            {
                "store": lambda: _fill(extractor, "vgg16", photographs, Path(folder) / "store"),
                **{
                    f"bare {batch}": lambda batch=batch: [
                        extractor(decoded[first : first + batch]) for first in range(0, pictures, batch)
                    ]
                    for batch in (8, 16, 32)
                },
                "notebook": lambda: [notebook.vgg16_features(bare, path) for path in few],
            },
            repeats,
        )
    best = min((name for name in seconds if "bare" in name), key=lambda name: np.median(seconds[name]))
    rate = {
        name: (len(few) if name == "notebook" else pictures) / np.median(some)
        for name, some in seconds.items()
    }
    return [
        ratio_row(
            f"extraction, VGG16, JPEG files to store, share of the bare pass at batch {best.split()[1]}",
            "at least",
            0.9,
            "share",
            ratios(seconds, best, "store"),
            detail=f"{rate['store']:.2f} against {rate[best]:.2f} pictures/s",
        ),
        ratio_row(
            "extraction, VGG16, JPEG files to store, against the notebook",
            "at least",
            2.0,
            "times",
            ratios(seconds, "notebook", "store", pictures / len(few)),
            detail=f"{rate['store']:.2f} against {rate['notebook']:.2f} pictures/s",
        ),
    ]


def _fill(extractor: Any, name: str, photographs: dict[str, Path], store: Path) -> None:
    shutil.rmtree(store, ignore_errors=True)
    extract_features(extractor, FeatureSource.of(extractor, name), photographs, store)
