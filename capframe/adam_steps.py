"""Adam's step as one operation for each weight, where Keras takes a dozen, each through all of the weight."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
_INSIDES = ("_get_variable_index", "_momentums", "_velocities")


def fuse_adam(optimizer: keras.optimizers.Optimizer) -> None:
    """Let ``optimizer`` take its steps in one operation for each weight, if it is Keras' Adam or AdamW.

    Its variables, its numbers (to rounding) and what is saved of it stay as they are; clipping and weight
    decay come before the step, as ever. Any other optimiser is left alone, and so is that of a Keras which
    calls its insides by other names.

    Source: D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """
    import keras

    if type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW) and not optimizer.amsgrad:
        optimizer.update_step = MethodType(_update_step, optimizer)


def _update_step(optimizer: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
    import tensorflow as tf

    known = all(hasattr(optimizer, name) for name in _INSIDES)
    if isinstance(gradient, tf.IndexedSlices) or not known:
        # Of rows that are named twice (words of an embedding) Keras adds the squares, not the derivatives.
        type(optimizer).update_step(optimizer, gradient, variable, learning_rate)
        return
    place = optimizer._get_variable_index(variable)

    def number(value: Any) -> Any:
        return tf.cast(value, variable.dtype)

    step = number(optimizer.iterations.value + 1)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[place].value.handle,
        v=optimizer._velocities[place].value.handle,
        beta1_power=tf.pow(number(optimizer.beta_1), step),
        beta2_power=tf.pow(number(optimizer.beta_2), step),
        lr=number(learning_rate),
        beta1=number(optimizer.beta_1),
        beta2=number(optimizer.beta_2),
        epsilon=number(optimizer.epsilon),
        grad=number(gradient),
    )
