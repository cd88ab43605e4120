"""Functions of TensorFlow that are compiled only when they are used again.

Tracing and optimising a graph takes far longer than captioning one picture with it: ``capframe caption
photo.jpg`` is done before a graph would be. XLA, TensorFlow's compiler, makes quicker code of many small
operations, but takes a second or two for it: that pays where single pictures come again and again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

SINGLES_BEFORE_XLA = 4
"""So many single pictures are captioned before the wait for XLA is worth it."""


class CompileLater:
    """A function that runs as it is for a single picture the first time, and compiled from then on.

    Args:
        function: maps tensors to tensors, and gives the same when it is traced.
        signature: of its arguments, as of ``tf.function``.
        xla: let XLA compile it for single pictures after some of them. The first argument then is all that
            has pictures; the others are scalars. Where XLA cannot compile it, nothing changes.
    """

    def __init__(self, function: Callable[..., Any], signature: list[Any], *, xla: bool = False) -> None:
        self._function = function
        self._signature = signature
        self._used = False
        self._singles: Counter[tuple[Any, ...]] = Counter()
        self.xla = xla

    def __call__(self, *arguments: Any, pictures: int) -> Any:
        """Return what the function gives for arrays or tensors that are of so many ``pictures``."""
        import tensorflow as tf

        first, self._used = not self._used, True
        tensors = tf.nest.map_structure(
            lambda spec, value: tf.convert_to_tensor(value, spec.dtype), self._signature, list(arguments)
        )
        often = pictures == 1 and self.xla and self._often(arguments[1:])
        if pictures == 1 and first:
            return self._function(*tensors)
        if often:
            try:
                return self._compiled_by_xla(*tensors)
            # A decoder may do what XLA has no code for; TensorFlow says so in many ways.
            except Exception:
                self.xla = False
        return self._compiled(*tensors)

    def _often(self, scalars: tuple[Any, ...]) -> bool:
        """Count one more single picture, and say whether those with the same scalars are many by now."""
        # A scalar that is the size of an array is a constant to XLA, which compiles for each value.
        values = tuple(np.asarray(scalar).item() for scalar in scalars)
        self._singles[values] += 1
        return self._singles[values] > SINGLES_BEFORE_XLA

    # Calling what these return takes a quarter of a millisecond less than calling a ``tf.function``.

    @cached_property
    def _compiled(self) -> Callable[..., Any]:
        import tensorflow as tf

        compiled = tf.function(self._function, input_signature=self._signature)
        concrete: Callable[..., Any] = compiled.get_concrete_function()
        return concrete

    @cached_property
    def _compiled_by_xla(self) -> Callable[..., Any]:
        import tensorflow as tf

        many, *scalars = self._signature
        single = tf.nest.map_structure(lambda spec: tf.TensorSpec([1, *spec.shape[1:]], spec.dtype), many)
        compiled = tf.function(self._function, input_signature=[single, *scalars], jit_compile=True)
        concrete: Callable[..., Any] = compiled.get_concrete_function()
        return concrete
