"""Every network of keras.applications as a feature extractor."""

from __future__ import annotations

import capframe

from .networks import NETWORKS


@capframe.hookimpl
def register_feature_extractors() -> dict[str, str]:
    """Offer ``keras-vgg16``, ``keras-resnet50``, ...: one for each network."""
    home = "capframe_keras_applications.extractors"
    return {f"keras-{name.lower()}": f"{home}:{name}" for name in NETWORKS}
