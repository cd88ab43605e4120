"""Training options: learning rates worked by hand, smoothed labels, weight decay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capframe.errors import UsageError
from capframe.training import caption_losses
from capframe.training_options import TrainingOptions
from capframe.vocabulary import PAD


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({}, {0: 0.8, 3.5: 0.8, 10: 0.8}),
        ({"warm_up": 2.0}, {0: 0.0, 0.5: 0.2, 1: 0.4, 2: 0.8, 10: 0.8}),
        ({"schedule": "cosine"}, {0: 0.8, 5: 0.4, 2.5: 0.4 + 0.4 * 0.5**0.5, 10: 0.0}),
        ({"schedule": "cosine", "warm_up": 2.0}, {1: 0.4, 2: 0.8, 6: 0.4, 10: 0.0}),
        ({"schedule": "cosine", "warm_up": 10.0}, {5: 0.4, 10: 0.8, 11: 0.0}),
    ],
)
def test_the_learning_rate_follows_the_schedule(options: dict[str, Any], rates: dict[float, float]) -> None:
    chosen = TrainingOptions(epochs=10, learning_rate=0.8, **options)
    assert {epochs: chosen.rate(epochs) for epochs in rates} == pytest.approx(rates)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"warm_up": -1.0}, "training.warm_up is -1.0; it must be 0 or more"),
        ({"weight_decay": float("nan")}, "training.weight_decay is nan"),
        ({"clip_norm": -0.1}, "training.clip_norm is -0.1"),
        ({"label_smoothing": 1.0}, "training.label_smoothing is 1.0; it must be below 1"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TrainingOptions(**options)


def test_a_smoothed_label_spreads_its_share_over_the_vocabulary() -> None:
    share = np.array([0.5, 0.25, 0.25], np.float32)
    total, words = caption_losses(np.array([[1, PAD]], np.int32), np.log([[share, share]]), smoothing=0.3)
    # 0.7 of the target, and 0.1 of each of the three words.
    expected = -(0.7 * np.log(0.25) + 0.1 * np.log(share).sum())
    assert float(total) == pytest.approx(expected, abs=1e-6)
    assert float(words) == 1


@given(st.floats(0, 0.9), st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_smoothing_is_the_cross_entropy_against_the_smoothed_target(
    smoothing: float, scores: list[float]
) -> None:
    logits = np.array(scores, np.float32)
    log_probabilities = logits - np.log(np.exp(logits.astype(np.float64)).sum())
    target = np.full(3, smoothing / 3)
    target[2] += 1 - smoothing
    total, _ = caption_losses(np.array([[2]], np.int32), logits[None, None], smoothing)
    assert float(total) == pytest.approx(-(target * log_probabilities).sum(), abs=1e-4)


def test_weight_decay_and_clipping_reach_the_optimiser() -> None:
    import keras

    plain = TrainingOptions().optimizer()
    assert type(plain) is keras.optimizers.Adam
    assert plain.global_clipnorm is None
    decayed = TrainingOptions(weight_decay=0.01, clip_norm=2.0, learning_rate=0.25).optimizer()
    assert type(decayed) is keras.optimizers.AdamW
    assert (decayed.weight_decay, decayed.global_clipnorm) == (0.01, 2.0)
    assert float(decayed.learning_rate) == 0.25
