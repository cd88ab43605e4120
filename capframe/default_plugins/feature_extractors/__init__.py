"""The feature extractors that ship with capframe."""

from __future__ import annotations

from collections.abc import Mapping

from capframe import hookimpl


@hookimpl
def register_feature_extractors() -> Mapping[str, str]:
    """Offer VGG16, EfficientNet-Lite and a stand-in, as strings, so that TensorFlow stays unloaded."""
    here = "capframe.default_plugins.feature_extractors"
    return {
        "vgg16": f"{here}.vgg16:VGG16",
        "efficientnet-lite0": f"{here}.efficientnet_lite:EfficientNetLite0",
        "efficientnet-lite2": f"{here}.efficientnet_lite:EfficientNetLite2",
        "efficientnet-lite-mirrored": f"{here}.mirrored:MirroredEfficientNetLite",
        "efficientnet-lite-stacked": f"{here}.stacked:StackedEfficientNetLite",
        "imported": f"{here}.imported:Imported",
    }
