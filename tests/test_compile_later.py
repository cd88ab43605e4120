"""A function is compiled once it is used for several pictures, or again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from capframe.compile_later import CompileLater

SIGNATURE = [(tf.TensorSpec([None, 2], tf.float32),), tf.TensorSpec([], tf.float32)]


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def scaled(ran: list[str]) -> CompileLater:
    def function(features: tuple[Any], factor: Any) -> Any:
        ran.append("plain" if tf.executing_eagerly() else "traced")
        return features[0] * factor

    return CompileLater(function, SIGNATURE)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([1], ["plain"]),
        ([1, 1, 1], ["plain", "traced"]),
        ([1, 3, 1], ["plain", "traced"]),
        ([3, 3], ["traced"]),
        ([0], ["traced"]),
    ],
)
def test_one_picture_the_first_time_is_not_worth_compiling(
    scaled: CompileLater, ran: list[str], calls: list[int], expected: list[str]
) -> None:
    for pictures in calls:
        features = np.arange(2.0 * pictures).reshape(pictures, 2)
        found = scaled((features.astype(np.float32),), np.float32(3), pictures=pictures)
        np.testing.assert_array_equal(found.numpy(), 3 * features)
        assert found.dtype == tf.float32
    assert ran == expected


def test_after_several_pictures_one_is_not_run_plain(scaled: CompileLater, ran: list[str]) -> None:
    for pictures in (3, 1):
        scaled((np.ones((pictures, 2), np.float32),), np.float32(1), pictures=pictures)
    assert ran == ["traced"]
