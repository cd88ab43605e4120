"""Averages of the weights over the steps of a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


class WeightAverage:
    """Exponential moving average of a model's trainable weights.

    It generalises better than the weights of the last step, which the last few batches pull to and fro
    (Polyak and Juditsky, 1992, "Acceleration of stochastic approximation by averaging").

    Args:
        model: with its optimiser, which counts the steps.
        decay: how much of the average stays in a step. In the first steps it is ``(1 + n) / (10 + n)`` after
            n steps where that is less, so that the untrained weights are soon forgotten. With 0 no average
            is taken, and nothing costs anything.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        import tensorflow as tf

        weights = [weight.value for weight in model.trainable_variables if decay]
        self.variables = [tf.Variable(weight, trainable=False) for weight in weights]

        @tf.function  # type: ignore[untyped-decorator]
        def update() -> None:
            steps = tf.cast(model.optimizer.iterations.value, tf.float32)
            share = 1 - tf.minimum(decay, (1 + steps) / (10 + steps))
            for average, weight in zip(self.variables, weights, strict=True):
                average.assign_add(tf.cast(share, average.dtype) * (weight - average))

        @tf.function  # type: ignore[untyped-decorator]
        def swap() -> None:
            for average, weight in zip(self.variables, weights, strict=True):
                held = tf.identity(weight)
                weight.assign(average)
                average.assign(held)

        self._update, self._swap = update, swap

    def following(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``step`` with `update` after it."""
        if not self.variables:
            return step

        def averaged(*batch: Any) -> Any:
            outcome = step(*batch)
            self.update()
            return outcome

        return averaged

    def update(self) -> None:
        """Take the weights of one more step into the average."""
        self._update()

    def swap(self) -> None:
        """Let the model and the average exchange their weights; a second time undoes the first."""
        if self.variables:
            self._swap()
