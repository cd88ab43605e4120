"""Keras callbacks that watch the validation loss, or the training loss where there is no dev split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras

from capframe.errors import OptionError


def watched_loss(logs: dict[str, Any]) -> str:
    """Return which loss of an epoch's ``logs`` decides: ``val_loss`` if there is one, else ``loss``."""
    return "val_loss" if "val_loss" in logs else "loss"


class Checkpoint(keras.callbacks.Callback):
    """Writes the model to a file whenever the watched loss is the lowest so far.

    Args:
        filename: name of the file in the run folder; ends in ``.keras``.

    Raises:
        OptionError: the filename is no such name.
    """

    def __init__(self, filename: str = "best_model.keras") -> None:
        super().__init__()
        if Path(filename).name != filename or Path(filename).suffix != ".keras":
            raise OptionError(
                f"The callback 'checkpoint' cannot take filename={filename!r}: give the name of a file in "
                "the run folder that ends in .keras."
            )
        self.filename = filename
        self.best = float("inf")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget the losses of an earlier training."""
        self.best = float("inf")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the watched loss with the best one; write the file aside and rename it."""
        logs = logs or {}
        if not logs[watched_loss(logs)] < self.best:
            return
        self.best = float(logs[watched_loss(logs)])
        target = Path(self.params["run_folder"]) / self.filename
        aside = target.with_name(f".partial-{os.getpid()}-{target.name}")
        try:
            self.model.save(aside)
            os.replace(aside, target)
        finally:
            aside.unlink(missing_ok=True)


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Stops training when the watched loss has not improved for some epochs.

    Args:
        patience: so many epochs without improvement are endured.
        min_delta: a smaller fall of the loss is no improvement.
    """

    def __init__(self, patience: int = 5, min_delta: float = 0.0) -> None:
        super().__init__(monitor="val_loss", mode="min", patience=patience, min_delta=min_delta)
        self._least_fall = min_delta

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget the losses of an earlier training."""
        super().on_train_begin(logs)
        # Some versions of Keras set these after the first epoch only, which would undo what a training that
        # goes on has given back.
        self.monitor_op, self.min_delta, self.best = keras.ops.less, -self._least_fall, float("inf")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Choose the watched loss, then do as Keras does."""
        self.monitor = watched_loss(logs or {})
        super().on_epoch_end(epoch, logs)


class ReduceLR(keras.callbacks.ReduceLROnPlateau):
    """Multiplies the learning rate by a factor when the watched loss stays on a plateau.

    Args:
        factor: what the learning rate is multiplied by.
        patience: so many epochs without improvement are endured.
        min_delta: a smaller fall of the loss is no improvement.
        min_lr: the learning rate does not fall below this.
    """

    def __init__(
        self, factor: float = 0.5, patience: int = 2, min_delta: float = 1e-4, min_lr: float = 0.0
    ) -> None:
        super().__init__(
            monitor="val_loss",
            mode="min",
            factor=factor,
            patience=patience,
            min_delta=min_delta,
            min_lr=min_lr,
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Choose the watched loss, then do as Keras does."""
        self.monitor = watched_loss(logs or {})
        super().on_epoch_end(epoch, logs)
