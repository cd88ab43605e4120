"""The weights in a ``.keras`` file, read as numbers: what the file says of layers and code is not looked at.

A ``.keras`` file is a zip archive of ``config.json``, from which Keras would rebuild the layers, and
``model.weights.h5``. Rebuilding runs whatever the configuration names, as far as Keras' safe mode lets it,
and that was too far in several releases. Here the decoder that is installed builds the model, and only its
weights come from the file.
"""

from __future__ import annotations

import zipfile
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

WEIGHTS = "model.weights.h5"

_MOST_OBJECTS = 20_000
_OVERHEAD = 1 << 24
_NUMBERS = frozenset("fiubV")


class WeightsRefusedError(Exception):
    """The file holds something else than the weights of this model; says what."""


def load_weights(path: Path, model: keras.Model) -> None:
    """Load the weights in a ``.keras`` file into ``model``.

    Raises:
        WeightsRefusedError: the file claims more than the model needs, or holds something that is no array
            of numbers.
        Exception: whatever the libraries raise on a damaged file, or on weights of another model.
    """
    import h5py

    sizes = [prod(variable.shape) for variable in model.variables]
    with zipfile.ZipFile(path) as archive:
        claimed = archive.getinfo(WEIGHTS).file_size
        # An optimiser may have left two more numbers beside each weight; none is wider than 8 bytes.
        if claimed > 8 * 3 * sum(sizes) + _OVERHEAD:
            raise WeightsRefusedError(
                f"its weights would unpack to {claimed} bytes, far more than the model has"
            )
        with archive.open(WEIGHTS) as file, h5py.File(file, "r") as weights:
            held = _check(weights, max(sizes, default=0))
    due = sum(prod(variable.shape) for variable in model.weights)
    if held < due:  # Keras would warn, and leave the rest of the model as it was initialised
        raise WeightsRefusedError(f"it holds {held} of the {due} numbers that the model needs")
    model.load_weights(path)


def _check(weights: Any, largest: int) -> int:
    """Refuse links out of the file, arrays kept in other files, and arrays larger than any of the model.

    Returns:
        How many numbers the file holds, those of an optimiser left out.
    """
    import h5py

    waiting, seen, numbers = [weights], 0, 0
    while waiting:
        group = waiting.pop()
        for name in group:
            seen += 1
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise WeightsRefusedError(f"its '{group.name:.80}/{name:.80}' is a link to elsewhere")
            if seen > _MOST_OBJECTS:
                raise WeightsRefusedError(
                    f"it holds more than {_MOST_OBJECTS} arrays and groups, or a ring of them"
                )
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
                raise WeightsRefusedError(f"its '{item.name}' does not lie in the file itself")
            elif item.dtype.kind not in _NUMBERS or item.size is None or item.size > largest:
                raise WeightsRefusedError(
                    f"its '{item.name}' is {item.dtype} {list(item.shape or ())}, and nothing in the model is"
                )
            elif not item.name.startswith("/optimizer"):
                numbers += item.size
    return numbers
