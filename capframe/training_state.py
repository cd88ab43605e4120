"""The state of a training between two epochs, in a file, so that a training that was killed can go on.

The file is a NumPy archive: the variables of the model (weights, and the seeds of its dropout), those of the
optimiser (moments, learning rate), and as JSON the history, the states of the callbacks and what is trained
on what.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import RunFolderError, TrainingError, UsageError

if TYPE_CHECKING:
    import keras

    from .weight_averaging import WeightAverage

    Array = np.ndarray[Any, Any]

FORMAT = 1


@dataclass(frozen=True)
class TrainingState:
    """What a training was like at the end of an epoch.

    Attributes:
        history: the logs of the epochs that are finished.
        stopped: whether a callback has ended the training.
        callbacks: the state of each callback.
        model: the variables of the model.
        optimizer: the variables of the optimiser.
        average: the variables of the average of the weights; none where none is taken.
    """

    history: list[dict[str, float]]
    stopped: bool
    callbacks: list[dict[str, Any]]
    model: list[Array]
    optimizer: list[Array]
    average: list[Array]


class TrainingStateFile:
    """Keeps the state of one training in a file.

    Args:
        path: the file.
        run: what is trained, how and on what, as JSON: only a training of the same goes on from the file.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        self.run: dict[str, Any] = json.loads(json.dumps(run))

    def write(
        self,
        model: keras.Model,
        callbacks: Sequence[Any],
        history: Sequence[Mapping[str, float]],
        average: WeightAverage | None = None,
    ) -> None:
        """Write the state of a training whose epoch has just ended, whole or not at all.

        Raises:
            RunFolderError: the file cannot be written.
        """
        record = {
            "format": FORMAT,
            "run": self.run,
            "history": history,
            "stopped": bool(model.stop_training),
            "callbacks": [callback_state(callback) for callback in callbacks],
        }
        arrays: dict[str, Any] = {"record": np.frombuffer(json.dumps(record).encode(), np.uint8)}
        for owner, variables in _variables(model, average).items():
            arrays |= {f"{owner}/{place}": variable.numpy() for place, variable in enumerate(variables)}
        aside = self.path.with_name(f".partial-{os.getpid()}-{self.path.name}")
        try:
            with aside.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path)
        except OSError as error:
            raise RunFolderError(
                f"Cannot write {self.path}: {error}. Make room; --resume then goes on from the epoch before."
            ) from error
        finally:
            with suppress(OSError):
                aside.unlink()

    def read(self) -> TrainingState | None:
        """Return the state that the file holds; None where there is no file.

        Raises:
            RunFolderError: the file is damaged, or another version of capframe wrote it.
            UsageError: it is the state of another training.
        """
        try:
            with np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False) as file:
                record = json.loads(file["record"].tobytes())
                if record["format"] != FORMAT:
                    raise ValueError(
                        f"its format is {record['format']!r:.20}, and this capframe reads {FORMAT}"
                    )
                self._check_same(record["run"])
                arrays: dict[str, list[Array]] = {"model": [], "optimizer": [], "average": []}
                for name in file.files[1:]:
                    arrays[name.partition("/")[0]].append(file[name])
            return TrainingState(record["history"], record["stopped"], record["callbacks"], **arrays)
        except FileNotFoundError:
            return None
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            RuntimeError,
            zipfile.BadZipFile,
        ) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from error

    def restore(self, state: TrainingState, model: keras.Model, average: WeightAverage | None = None) -> None:
        """Give ``model``, its optimiser and the average of its weights the variables that they had.

        Raises:
            RunFolderError: the file is of another model.
        """
        for owner, variables in _variables(model, average).items():
            arrays: list[Array] = getattr(state, owner)
            if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
                raise self._damaged(f"it does not fit the {owner} that the decoder builds")
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)
        model.stop_training = state.stopped

    def _damaged(self, reason: str) -> RunFolderError:
        return RunFolderError(f"{self.path} is damaged: {reason}. Start over with --overwrite.")

    def _check_same(self, other: Mapping[str, Any]) -> None:
        before, now = _flat(other), _flat(self.run)
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                raise UsageError(
                    f"The run in {self.path.parent} was begun with {name} = {before.get(name)}, and this is "
                    f"{name} = {now.get(name)}. Go on as it was begun, or start over with --overwrite."
                )


def callback_state(callback: Any) -> dict[str, Any]:
    """Return the state of a callback, as JSON has it.

    That is what its ``get_state()`` returns, if it has one; or else its public attributes that are numbers,
    texts, truth values, None, or lists and dicts of these, but for the arguments of its constructor.

    Raises:
        TrainingError: what ``get_state()`` returns is something else.
    """
    if hasattr(callback, "get_state"):
        state = _plain(callback.get_state())
        if not isinstance(state, dict):
            raise TrainingError(
                f"get_state() of the callback {type(callback).__qualname__} must return a dict of numbers, "
                "texts, and lists and dicts of these: mend the callback, or leave it out."
            )
        return state
    makers = [vars(kind)["__init__"] for kind in type(callback).__mro__ if "__init__" in vars(kind)]
    options = {name for maker in makers for name in signature(maker).parameters}
    held = {
        name: _plain(value)
        for name, value in vars(callback).items()
        if not name.startswith("_") and name not in {*options, "params"}
    }
    return {name: value for name, value in held.items() if value is not NotImplemented}


def restore_callback(callback: Any, state: Mapping[str, Any]) -> None:
    """Give a callback back the state that `callback_state` returned."""
    if hasattr(callback, "set_state"):
        callback.set_state(dict(state))
    else:
        vars(callback).update(state)


def _variables(model: keras.Model, average: WeightAverage | None) -> dict[str, list[Any]]:
    return {
        "model": list(model.variables),
        "optimizer": list(model.optimizer.variables),
        "average": list(average.variables) if average else [],
    }


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            path: leaf
            for key, item in value.items()
            for path, leaf in _flat(item, f"{name}.{key}" if name else key).items()
        }
    return {name: value}


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON has it, or NotImplemented."""
    if isinstance(value, np.generic) or (hasattr(value, "numpy") and not getattr(value, "shape", None)):
        value = np.asarray(value).item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        return NotImplemented if NotImplemented in items else items
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        pairs = {key: _plain(item) for key, item in value.items()}
        return NotImplemented if NotImplemented in pairs.values() else pairs
    return NotImplemented
