"""Functions of TensorFlow that are compiled only when they are used again.

Tracing and optimising a graph takes far longer than captioning one picture with it: ``capframe caption
photo.jpg`` is done before a graph would be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class CompileLater:
    """A function that runs as it is for a single picture the first time, and compiled from then on.

    Args:
        function: maps tensors to tensors, and gives the same when it is traced.
        signature: of its arguments, as of ``tf.function``.
    """

    def __init__(self, function: Callable[..., Any], signature: list[Any]) -> None:
        import tensorflow as tf

        self._function = function
        self._signature = signature
        self._compiled = tf.function(function, input_signature=signature)
        self._used = False

    def __call__(self, *arguments: Any, pictures: int) -> Any:
        """Return what the function gives for arrays or tensors that are of so many ``pictures``."""
        import tensorflow as tf

        alone, self._used = pictures == 1 and not self._used, True
        if not alone:
            return self._compiled(*arguments)
        tensors = tf.nest.map_structure(
            lambda spec, value: tf.convert_to_tensor(value, spec.dtype), self._signature, list(arguments)
        )
        return self._function(*tensors)
