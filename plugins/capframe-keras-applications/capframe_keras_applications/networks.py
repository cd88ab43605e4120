"""The networks of keras.applications: known by name, without importing Keras."""

from __future__ import annotations

from typing import NamedTuple


class Network(NamedTuple):
    """One network.

    Attributes:
        module: of ``keras.applications``, with its ``preprocess_input``.
        side: pixels of a side of the pictures that it was trained on.
        source: the paper.
    """

    module: str
    side: int
    source: str


_CONVNEXT = "Liu et al. 2022, https://arxiv.org/abs/2201.03545"
_DENSENET = "Huang et al. 2017, https://arxiv.org/abs/1608.06993"
_EFFICIENTNET = "Tan and Le 2019, https://arxiv.org/abs/1905.11946"
_EFFICIENTNET_V2 = "Tan and Le 2021, https://arxiv.org/abs/2104.00298"
_MOBILENET_V3 = "Howard et al. 2019, https://arxiv.org/abs/1905.02244"
_NASNET = "Zoph et al. 2018, https://arxiv.org/abs/1707.07012"
_RESNET = "He et al. 2016, https://arxiv.org/abs/1512.03385"
_RESNET_V2 = "He et al. 2016, https://arxiv.org/abs/1603.05027"
_VGG = "Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556"

NETWORKS = {
    **{
        f"ConvNeXt{size}": Network("convnext", 224, _CONVNEXT)
        for size in ("Tiny", "Small", "Base", "Large", "XLarge")
    },
    **{f"DenseNet{layers}": Network("densenet", 224, _DENSENET) for layers in (121, 169, 201)},
    **{
        f"EfficientNetB{size}": Network("efficientnet", side, _EFFICIENTNET)
        for size, side in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
    },
    **{
        f"EfficientNetV2{size}": Network("efficientnet_v2", side, _EFFICIENTNET_V2)
        for size, side in (
            ("B0", 224),
            ("B1", 240),
            ("B2", 260),
            ("B3", 300),
            ("S", 384),
            ("M", 480),
            ("L", 480),
        )
    },
    "InceptionResNetV2": Network(
        "inception_resnet_v2", 299, "Szegedy et al. 2017, https://arxiv.org/abs/1602.07261"
    ),
    "InceptionV3": Network("inception_v3", 299, "Szegedy et al. 2016, https://arxiv.org/abs/1512.00567"),
    "MobileNet": Network("mobilenet", 224, "Howard et al. 2017, https://arxiv.org/abs/1704.04861"),
    "MobileNetV2": Network("mobilenet_v2", 224, "Sandler et al. 2018, https://arxiv.org/abs/1801.04381"),
    "MobileNetV3Large": Network("mobilenet_v3", 224, _MOBILENET_V3),
    "MobileNetV3Small": Network("mobilenet_v3", 224, _MOBILENET_V3),
    "NASNetLarge": Network("nasnet", 331, _NASNET),
    "NASNetMobile": Network("nasnet", 224, _NASNET),
    **{f"ResNet{layers}": Network("resnet", 224, _RESNET) for layers in (50, 101, 152)},
    **{f"ResNet{layers}V2": Network("resnet_v2", 224, _RESNET_V2) for layers in (50, 101, 152)},
    "VGG16": Network("vgg16", 224, _VGG),
    "VGG19": Network("vgg19", 224, _VGG),
    "Xception": Network("xception", 299, "Chollet 2017, https://arxiv.org/abs/1610.02357"),
}
