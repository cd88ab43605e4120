"""The callback `tensorboard`."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from capframe.errors import OptionError
from capframe.sheet import picture_sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capframe import CaptionSample


class TensorBoard(keras.callbacks.Callback):
    """Writes losses, learning rate and sample captions for TensorBoard after each epoch.

    The loss of training and that of validation share a chart. The samples are pictures of the dev split, with
    what the decoder says of them at that moment: see how a captioner learns to speak.

    Args:
        folder: where the files go, in the run folder.
        samples: write sample captions under their pictures, too.

    Raises:
        OptionError: the folder is not one in the run folder.
    """

    def __init__(self, folder: str = "tensorboard", samples: bool = True) -> None:
        super().__init__()
        if Path(folder).anchor or ".." in Path(folder).parts or not Path(folder).parts:
            raise OptionError(
                f"The callback 'tensorboard' cannot take folder={folder!r}: give the name of a folder in the "
                "run folder."
            )
        self.folder = folder
        self.samples = samples
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Close the files of an earlier training, which may have been interrupted."""
        self.on_train_end()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Note the learning rate: of the epoch's last step, before other callbacks change it."""
        self._learning_rate = float(self.model.optimizer.learning_rate)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write what the epoch gave; steps are epochs, from 1."""
        step = epoch + 1
        for name, value in (logs or {}).items():
            split = "validation" if name.startswith("val_") else "train"
            with self._writer(split).as_default():
                tf.summary.scalar(name.removeprefix("val_"), value, step=step)
        with self._writer("train").as_default():
            tf.summary.scalar("learning_rate", self._learning_rate, step=step)
        captioned = (self.params or {}).get("caption_samples")
        if self.samples and captioned is not None:
            with self._writer("samples").as_default():
                self._write_samples(captioned(), step)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the files, so that the run folder can be renamed on every system."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _writer(self, split: str) -> Any:
        if split not in self._writers:
            path = Path(self.params["run_folder"]) / self.folder / split
            self._writers[split] = tf.summary.create_file_writer(str(path))
        return self._writers[split]

    def _write_samples(self, samples: Sequence[CaptionSample], step: int) -> None:
        rows = "".join(f"| {_cell(sample.image)} | {_cell(sample.caption)} |\n" for sample in samples)
        tf.summary.text("captions", f"| picture | caption |\n| --- | --- |\n{rows}", step=step)
        shown = [(sample.picture, sample.caption, None) for sample in samples if sample.picture is not None]
        if shown:
            with tempfile.TemporaryDirectory() as scratch:
                sheet = Image.open(picture_sheet(shown, Path(scratch) / "samples.png")).convert("RGB")
            tf.summary.image("pictures", np.asarray(sheet)[None], step=step)


def _cell(text: str) -> str:
    """Write what Markdown takes for a sign of its own as HTML does, so that it stands as it is."""
    return re.sub(r"[!#$%&()*+:;<=>?@\[\\\]^_`{|}~]", lambda sign: f"&#{ord(sign[0])};", text)
