"""Laws of callbacks: each is used in a small training run, with the real training loop."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..batches import CaptionBatches
from ..training import Logs, fit
from ..training_options import TrainingOptions
from ..vocabulary import Vocabulary
from .laws import LawBook, Subject, require

BOOK = LawBook()

CAPTIONS = [["a red dot", "one red dot"], ["a blue star"], ["two red stars here"], ["a dot"]]
EPOCHS = 3


def _model(words: int) -> Any:
    """A small model of the form that decoders have."""
    import keras

    features = keras.Input((3,))
    tokens = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(words, 8)(tokens)
    picture = keras.layers.Dense(8)(features)
    merged = keras.layers.Add()([embedded, keras.layers.Reshape((1, 8))(picture)])
    return keras.Model([features, tokens], keras.layers.Dense(words)(merged))


def _trained(callback: Any, folder: Path, *, dev: bool) -> list[Logs]:
    import keras

    keras.utils.set_random_seed(0)
    vocabulary = Vocabulary.build((text for group in CAPTIONS for text in group), min_count=1)
    features = np.random.default_rng(0).normal(size=(len(CAPTIONS), 3)).astype(np.float32)

    def batches() -> CaptionBatches:
        return CaptionBatches(CAPTIONS, vocabulary, lambda pictures: features[pictures], batch_size=2)

    options = TrainingOptions(epochs=EPOCHS)
    model = _model(len(vocabulary))
    return fit(
        model, batches(), batches() if dev else None, [callback], options, params={"run_folder": str(folder)}
    )


class Run(NamedTuple):
    """What a training run with a callback left: its losses, its files, and files in other places."""

    losses: list[float]
    files: list[str]
    stray: list[str]


def _run(callback: Any, *, dev: bool = True) -> Run:
    """Train with a callback, in a run folder that is not the working folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        folder, working = Path(scratch) / "run", Path(scratch) / "working"
        folder.mkdir()
        working.mkdir()
        os.chdir(working)
        try:
            history = _trained(callback, folder, dev=dev)
        finally:
            os.chdir(before)
        paths = [path.relative_to(scratch) for path in Path(scratch).rglob("*") if path.is_file()]
    inside = [path for path in paths if path.parts[0] == "run"]
    losses = [logs["loss"] for logs in history]
    return Run(losses, sorted(map(str, inside)), sorted(str(path) for path in paths if path not in inside))


def _two_runs(subject: Subject) -> tuple[Run, Run]:
    """Use one callback for two runs."""
    callback = subject.build()
    return _run(callback), _run(callback)


def _require_alike(one: Run, other: Run, which: str) -> None:
    # Names of log files often hold the time, the process and a count.
    first, second = (
        f"{len(run.losses)} epochs and wrote {[re.sub('[0-9]+', '#', name) for name in run.files]}"
        for run in (one, other)
    )
    require(first == second, f"the first took {first}, {which} {second}")


@BOOK.law("Derive it from keras.callbacks.Callback and call super().__init__().")
def it_is_a_keras_callback(subject: Subject) -> None:
    """It is a ``keras.callbacks.Callback``."""
    import keras

    require(isinstance(subject.component, keras.callbacks.Callback), f"it is {subject.component!r}")


@BOOK.law("See what was raised; of model and logs use only what every training run has.")
def it_goes_through_training(subject: Subject) -> None:
    """A training run with a dev split comes to its end with it."""
    losses = subject.once(_two_runs)[0].losses
    require(bool(losses) and bool(np.isfinite(losses).all()), f"the losses were {losses}")


@BOOK.law("Read 'val_loss' from the logs only where it is there: without a dev split there is none.")
def it_goes_through_training_without_a_dev_split(subject: Subject) -> None:
    """A training run without a dev split, and so without validation loss, comes to its end with it."""
    losses = _run(subject.build(), dev=False).losses
    require(bool(losses) and bool(np.isfinite(losses).all()), f"the losses were {losses}")


@BOOK.law("Write into self.params['run_folder'] only.")
def it_writes_into_the_run_folder_only(subject: Subject) -> None:
    """Nothing is written into the working folder, or beside the run folder."""
    stray = subject.once(_two_runs)[0].stray
    require(not stray, f"written elsewhere: {', '.join(stray)}")


@BOOK.law("Set up what a training run needs in on_train_begin, not in the constructor.")
def it_can_be_used_again(subject: Subject) -> None:
    """One callback, used for two training runs, trains as long and writes the same files in the second."""
    _require_alike(*subject.once(_two_runs), "the second run")


@BOOK.law("Keep state in attributes of self, not of the class or the module.")
def two_callbacks_share_no_state(subject: Subject) -> None:
    """What one callback did changes nothing for another one."""
    first, _ = subject.once(_two_runs)
    _require_alike(first, _run(subject.build()), "a run with another callback")
