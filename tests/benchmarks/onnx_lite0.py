"""EfficientNet-Lite0 for ONNX Runtime, from the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def session_of(extractor: Any) -> onnxruntime.InferenceSession:
    """Return a session that maps uint8 ``[N, 224, 224, 3]`` to features ``[N, 1280]``."""
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, *inputs: str, **options: Any) -> str:
        out = f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [out], **options))
        return out

    low, high = constant("low", np.float32(0)), constant("high", np.float32(6))

    def convolve(maps: str, convolution: str, norm: str, stride: int = 1) -> str:
        kernel, bias = extractor._folded(convolution, norm)
        return node(
            "Conv",
            maps,
            constant(f"{convolution}.kernel", kernel),
            constant(f"{convolution}.bias", bias),
            auto_pad="SAME_UPPER",
            strides=[stride, stride],
            group=len(kernel) if convolution.endswith("_depthwise_conv") else 1,
        )

    def clipped(maps: str) -> str:
        return node("Clip", maps, low, high)

    maps = node("Cast", "images", to=TensorProto.FLOAT)
    maps = node("Sub", maps, constant("mean", np.float32(127)))
    maps = node("Div", maps, constant("scale", np.float32(128)))
    maps = clipped(convolve(node("Transpose", maps, perm=[0, 3, 1, 2]), "_conv_stem", "_bn0", 2))
    before = 32
    for number, (stride, expansion) in enumerate(extractor.variant.blocks()):
        prefix = f"_blocks.{number}."
        inner = maps
        if expansion != 1:
            inner = clipped(convolve(inner, f"{prefix}_expand_conv", f"{prefix}_bn0"))
        inner = clipped(convolve(inner, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride))
        outer = convolve(inner, f"{prefix}_project_conv", f"{prefix}_bn2")
        after = len(extractor._folded(f"{prefix}_project_conv", f"{prefix}_bn2")[0])
        maps = node("Add", outer, maps) if stride == 1 and after == before else outer
        before = after
    maps = clipped(convolve(maps, "_conv_head", "_bn1"))
    node("Flatten", node("GlobalAveragePool", maps))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 224, 224, 3])
    features = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["N", 1280])
    graph = helper.make_graph(nodes, "efficientnet_lite0", [images], [features], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 0  # as many as there are cores
    return onnxruntime.InferenceSession(model.SerializeToString(), options)
