from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from capframe.word_losses import caption_losses, word_losses

HIDDEN = np.array([[1.0, 2.0], [0.0, -1.0]], np.float32)
KERNEL = np.array([[1.0, 0.0, -1.0], [0.5, 1.0, 0.0]], np.float32)
BIAS = np.array([0.0, 0.5, 1.0], np.float32)
TARGETS = np.array([1, 2], np.int32)


def test_the_loss_of_a_word_is_minus_its_log_probability() -> None:
    # The logits are [2, 2.5, 0] and [-0.5, -0.5, 1].
    first = np.log(np.exp(2) + np.exp(2.5) + 1) - 2.5
    second = np.log(2 * np.exp(-0.5) + np.exp(1)) - 1
    np.testing.assert_allclose(word_losses(TARGETS, HIDDEN, KERNEL, BIAS), [first, second], rtol=1e-6)


def test_an_all_but_impossible_word_has_its_whole_loss() -> None:
    hidden = np.array([[200.0, 0.0], [0.0, 1.0]], np.float32)
    kernel = np.array([[1.0, -1.0], [0.0, 0.0]], np.float32)
    losses = word_losses(np.array([1, 0], np.int32), hidden, kernel, np.zeros(2, np.float32))
    np.testing.assert_allclose(losses, [400.0, np.log(2)], rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(
    words=st.integers(1, 9),
    size=st.integers(2, 12),
    smoothing=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 1000),
)
def test_loss_and_derivatives_are_those_of_the_logits(
    words: int, size: int, smoothing: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    hidden, kernel, bias = (
        random.normal(size=shape).astype(np.float32) for shape in ((words, 4), (4, size), (size,))
    )
    targets = random.integers(1, size, words).astype(np.int32)
    weights = random.normal(size=words).astype(np.float32)

    def by_words(*parts: Any) -> Any:
        return word_losses(targets, *parts, smoothing)

    def by_logits(hidden: Any, kernel: Any, bias: Any) -> Any:
        logits = (hidden @ kernel + bias)[:, None]
        losses = [
            caption_losses(targets[n : n + 1, None], logits[n : n + 1], smoothing)[0] for n in range(words)
        ]
        return losses

    here, there = (derivatives(form, weights, hidden, kernel, bias) for form in (by_words, by_logits))
    for mine, theirs in zip(here, there, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def derivatives(form: Any, weights: NDArray[np.float32], *arrays: NDArray[np.float32]) -> list[Any]:
    import tensorflow as tf

    parts = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(parts)
        losses = tf.stack(form(*parts))
        total = tf.reduce_sum(losses * weights)
    return [losses.numpy(), *(gradient.numpy() for gradient in tape.gradient(total, parts))]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_word_that_is_learnt_from_gets_likelier(smoothing: float) -> None:
    losses, by_hidden, by_kernel, by_bias = derivatives(
        lambda *parts: word_losses(TARGETS, *parts, smoothing), np.ones(2, np.float32), HIDDEN, KERNEL, BIAS
    )
    after = word_losses(
        TARGETS, HIDDEN - 0.01 * by_hidden, KERNEL - 0.01 * by_kernel, BIAS - 0.01 * by_bias, smoothing
    )
    assert (np.asarray(after) < losses).all()
