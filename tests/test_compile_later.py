"""A function is compiled once it is used for several pictures, or again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from capframe.compile_later import SINGLES_BEFORE_XLA, CompileLater

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


@pytest.fixture
def scaled_by_xla(ran: list[str]) -> CompileLater:
    def function(features: tuple[Any], factor: Any) -> Any:
        known = features[0].shape[0] is not None
        ran.append("plain" if tf.executing_eagerly() else "traced for one" if known else "traced")
        return features[0] * factor

    return CompileLater(function, SIGNATURE, xla=True)


def check(function: CompileLater, pictures: int, factor: float = 3.0) -> None:
    features = np.arange(2.0 * pictures).reshape(pictures, 2)
    found = function((features.astype(np.float32),), np.float32(factor), pictures=pictures)
    np.testing.assert_array_equal(found.numpy(), factor * features)


def test_xla_compiles_for_single_pictures_after_some_of_them(
    scaled_by_xla: CompileLater, ran: list[str]
) -> None:
    for _ in range(SINGLES_BEFORE_XLA):
        check(scaled_by_xla, 1)
    assert ran == ["plain", "traced"]
    for pictures in (1, 3, 1, 1):
        check(scaled_by_xla, pictures)
    assert ran == ["plain", "traced", "traced for one"]
    assert scaled_by_xla.xla


def test_xla_is_not_for_several_pictures(scaled_by_xla: CompileLater, ran: list[str]) -> None:
    for _ in range(3 * SINGLES_BEFORE_XLA):
        check(scaled_by_xla, 2)
    assert ran == ["traced"]


def test_single_pictures_with_other_scalars_count_on_their_own(
    scaled_by_xla: CompileLater, ran: list[str]
) -> None:
    for number in range(3 * SINGLES_BEFORE_XLA):
        check(scaled_by_xla, 1, factor=number)
    assert ran == ["plain", "traced"]


def test_without_being_asked_for_xla_is_not_used(scaled: CompileLater, ran: list[str]) -> None:
    for _ in range(3 * SINGLES_BEFORE_XLA):
        check(scaled, 1)
    assert ran == ["plain", "traced"]


def test_what_xla_cannot_compile_goes_on_as_it_was() -> None:
    def through_text(features: tuple[Any], factor: Any) -> Any:
        return tf.strings.to_number(tf.strings.as_string(features[0])) * factor

    function = CompileLater(through_text, SIGNATURE, xla=True)
    for _ in range(SINGLES_BEFORE_XLA + 3):
        check(function, 1)
    assert not function.xla


def test_scalars_may_be_tensors(scaled_by_xla: CompileLater, ran: list[str]) -> None:
    for _ in range(SINGLES_BEFORE_XLA + 1):
        found = scaled_by_xla((tf.constant([[1.0, 2.0]]),), tf.constant(3.0), pictures=1)
        np.testing.assert_array_equal(found.numpy(), [[3.0, 6.0]])
    assert ran == ["plain", "traced", "traced for one"]
