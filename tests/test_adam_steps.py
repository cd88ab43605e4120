from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from capframe import adam_steps
from capframe.adam_steps import fuse_adam

MAKERS: dict[str, Callable[[], Any]] = {
    "plain": lambda: keras.optimizers.Adam(0.01),
    "clipped": lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.5),
    "decayed": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "other numbers": lambda: keras.optimizers.Adam(0.01, beta_1=0.7, beta_2=0.9, epsilon=0.1),
}


def test_the_first_step_is_as_long_as_the_learning_rate() -> None:
    # m = 0.1 g, v = 0.001 g^2; the step is 0.01 * sqrt(0.001) / 0.1 * m / sqrt(v) = 0.01 g / |g|.
    optimizer, weights = fused(keras.optimizers.Adam(0.01), [1.0, 1.0, 1.0])
    optimizer.apply_gradients([(tf.constant([4.0, -0.5, 0.0]), weights)])
    np.testing.assert_allclose(weights.numpy(), [0.99, 1.01, 1.0], rtol=1e-5)
    np.testing.assert_allclose(optimizer.variables[2].numpy(), [0.4, -0.05, 0.0], rtol=1e-6)
    np.testing.assert_allclose(optimizer.variables[3].numpy(), [0.016, 0.00025, 0.0], rtol=3e-5)


@pytest.mark.parametrize("maker", MAKERS)
def test_steps_are_those_of_keras(maker: str) -> None:
    theirs, by_keras = variables_after_steps(MAKERS[maker]())
    optimizer = MAKERS[maker]()
    fuse_adam(optimizer)
    ours, at_once = variables_after_steps(optimizer)
    # The second weight is an embedding, and stays Keras' own; clipping makes its derivative whole.
    assert (by_keras, at_once) == (0, 2 if maker == "clipped" else 1)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=3e-5, atol=1e-7)  # 1 - 0.999 in float32


def test_the_learning_rate_may_change_between_steps() -> None:
    optimizer, weights = fused(keras.optimizers.Adam(0.01), [1.0])
    optimizer.learning_rate.assign(0.0)
    optimizer.apply_gradients([(tf.constant([4.0]), weights)])
    assert weights.numpy() == [1.0]


def test_a_copy_steps_with_its_own_moments() -> None:
    optimizer, _ = fused(keras.optimizers.Adam(0.01), [1.0])
    method = copy.deepcopy(optimizer.update_step, {id(optimizer): "the copy"})
    assert method.__self__ == "the copy"


@pytest.mark.parametrize(
    "optimizer",
    [keras.optimizers.SGD(0.01), keras.optimizers.Adam(0.01, amsgrad=True)],
    ids=["SGD", "AMSGrad"],
)
def test_other_optimisers_are_left_alone(optimizer: Any) -> None:
    fuse_adam(optimizer)
    assert "update_step" not in vars(optimizer)


def fused(optimizer: Any, weights: list[float]) -> tuple[Any, Any]:
    variable = keras.Variable(np.array(weights, np.float32))
    optimizer.build([variable])
    fuse_adam(optimizer)
    return optimizer, variable


def variables_after_steps(optimizer: Any) -> tuple[list[Any], int]:
    """Return weights and moments after five steps, and how many operations are whole steps of Adam."""
    weights = [keras.Variable(np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)) for _ in range(2)]
    optimizer.build(weights)

    @tf.function
    def step(number: Any) -> None:
        whole = tf.sin(number * tf.reshape(tf.range(6.0), [3, 2]))
        # Row 2 is named twice, as a word is that a batch holds twice.
        rows = tf.IndexedSlices(whole, tf.constant([2, 0, 2]), tf.constant([3, 2]))
        optimizer.apply_gradients(zip((whole, rows), weights, strict=True))

    for number in range(1, 6):
        step(tf.constant(float(number)))
    operations = step.get_concrete_function(tf.constant(1.0)).graph.get_operations()
    steps = [operation for operation in operations if operation.type == "ResourceApplyAdam"]
    return [variable.numpy() for variable in (*weights, *optimizer.variables)], len(steps)


def test_where_the_insides_of_keras_have_other_names_its_own_steps_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adam_steps, "_INSIDES", ("_known_by_another_name",))
    monkeypatch.setattr(tf.raw_ops, "ResourceApplyAdam", None)  # calling it would fail
    optimizer, weights = fused(keras.optimizers.Adam(0.01), [1.0, 1.0])
    optimizer.apply_gradients([(tf.constant([4.0, -0.5]), weights)])
    np.testing.assert_allclose(weights.numpy(), [0.99, 1.01], rtol=1e-5)
