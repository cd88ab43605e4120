"""What training leaves: the decoder's model, its vocabulary and its history; made, written and read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import run_folder
from .caption_table import CaptionTable
from .composition import Composition
from .dataset import Dataset
from .errors import FeatureStoreError, RunFolderError, TrainingError, UsageError
from .feature_parts import FeatureSource
from .features import FeatureStore
from .image_marks import ImageMarks, image_mark
from .image_views import view_name
from .registry import Component
from .samples import SAMPLES, caption_samples
from .search import Search
from .training import Logs, fit
from .training_batches import training_batches
from .training_state import TrainingStateFile
from .unfinished import STATE
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    import keras

    from .interfaces import Decoder, FeatureExtractor


@dataclass(frozen=True)
class Trained:
    """The outcome of a training run.

    Attributes:
        model: the decoder's model with the weights of the lowest watched loss.
        vocabulary: the words of the training split.
        source: what made the features.
        history: the logs of each epoch.
        training_images: hashes of the names of the pictures that were trained on.
    """

    model: keras.Model
    vocabulary: Vocabulary
    source: FeatureSource
    history: list[Logs]
    training_images: ImageMarks

    def saw(self, image: str) -> bool:
        """Whether the picture of this name was trained on."""
        return image_mark(image) in self.training_images

    def checked_extractor(self, component: Component[Any]) -> FeatureExtractor:
        """Return the feature extractor to caption with.

        Raises:
            UsageError: its weights or features are not those that were trained on.
        """
        extractor: FeatureExtractor = component.value
        here = FeatureSource.of(extractor, component.name, component.options)
        fingerprints = {here.fingerprint, self.source.fingerprint} - {""}
        if len(fingerprints) > 1 or here.feature_shape != self.source.feature_shape:
            raise UsageError(f"This captioner was trained on features of {self.source}, and this is {here}.")
        return extractor

    def write(self, folder: Path, composition: Composition, *, half_precision: bool = False) -> None:
        """Write the files of a run folder into ``folder``.

        Raises:
            RunFolderError: they cannot be written.
        """
        try:
            run_folder.write_model(folder, self.model, half_precision=half_precision)
            self.vocabulary.write(folder / run_folder.VOCABULARY)
        except OSError as error:
            raise RunFolderError(
                f"Cannot write into {folder}: {error}. Make room, or choose another place."
            ) from error
        run_folder.write_history(folder, self.history)
        run_folder.write_training_images(folder, self.training_images)
        run_folder.write_config(folder, {**composition.describe(), "features": self.source.to_json()})

    @classmethod
    def read(cls, folder: Path, config: Mapping[str, Any], decoder: Decoder) -> Trained:
        """Read the files of a run folder, whose ``config.json`` is ``config``.

        The model is what ``decoder`` builds, with the weights of the folder.

        Raises:
            RunFolderError: a file is missing or damaged, or they do not belong together.
        """
        vocabulary = Vocabulary.read(folder / run_folder.VOCABULARY)
        try:
            source = FeatureSource.from_json(config["features"])
        except FeatureStoreError as error:
            raise RunFolderError(f"{folder / run_folder.CONFIG} is damaged: {error}") from error
        model = run_folder.read_model(folder, lambda: decoder.build(source.feature_shape, len(vocabulary)))
        return cls(
            model,
            vocabulary,
            source,
            run_folder.read_history(folder),
            run_folder.read_training_images(folder),
        )


def train(
    composition: Composition,
    dataset: Dataset,
    store: FeatureStore,
    folder: Path,
    *,
    start: Trained | None = None,
    keep_state: bool = False,
    progress: bool = False,
    on_epoch: Callable[[Logs], None] | None = None,
) -> Trained:
    """Train the decoder of ``composition``; callbacks may write into ``folder``.

    Args:
        composition: parts and options.
        dataset: captions and splits; pictures that ``store`` lacks are left out.
        store: features of the pictures.
        folder: where ``history.csv`` and what callbacks write goes.
        start: weights and vocabulary to start from; self-critical training needs it.
        keep_state: after each epoch, write the state into ``folder``; go on from what is there.
        progress: show what is going on.
        on_epoch: called with the logs of each epoch.

    Raises:
        TrainingError: there is nothing to train on, or the loss is no longer a number.
        RunFolderError: the state in ``folder`` is damaged, or cannot be written.
        UsageError: the state in ``folder`` is of another training.
    """
    import keras

    options = composition.training_options

    def has_views(image: str) -> bool:
        return all(view_name(image, number) in store for number in range(1, options.views))

    clean = {
        split: CaptionTable(
            (image, composition.clean(texts))
            for image, texts in ((name, dataset.captions[name]) for name in dataset.splits[split])
            if texts and image in store and (split == "dev" or has_views(image))
        )
        for split in ("train", "dev")
        if split in dataset.splits
    }
    if not clean.get("train"):
        of_views = f" of its {options.views} views (training.views)" if options.views > 1 else ""
        raise TrainingError(
            f"No picture of the training split has features{of_views}. Check the pictures and splits."
        )
    if start is not None:
        store.check_source(start.source)
        vocabulary = start.vocabulary
    else:
        vocabulary = Vocabulary.build(
            (caption for texts in clean["train"].values() for caption in texts),
            **composition.vocabulary_options,
        )

    keras.utils.set_random_seed(options.seed)
    model = composition.decoder.value.build(store.source.feature_shape, len(vocabulary))

    if start is not None:
        model.set_weights(start.model.get_weights())

    def record(history: list[Logs]) -> None:
        run_folder.write_history(folder, history)
        if on_epoch is not None:
            on_epoch(history[-1])

    shown = list(islice(clean.get("dev") or clean["train"], SAMPLES))
    samples = caption_samples(
        Search(composition.decoder.value, model), vocabulary, store, names=shown, pictures=dataset.image_paths
    )
    run = {**composition.describe(), "features": store.source.to_json(), "captions": _digest(clean)}
    if start is not None:
        run["start"] = _digest_of_weights(start.model)
    history = fit(
        model,
        *training_batches(clean, vocabulary, store, options),
        [callback.build() for callback in composition.callbacks],
        options,
        decoder=composition.decoder.value,
        params={"run_folder": str(folder), "caption_samples": samples},
        state_file=TrainingStateFile(folder / STATE, _resumable(run)) if keep_state else None,
        on_epoch=record,
        progress=progress,
    )
    if (folder / run_folder.MODEL).exists():
        model.load_weights(folder / run_folder.MODEL)
    # Without the optimiser's state, which the model took on for training, the file is a third as large.
    bare = composition.decoder.value.build(store.source.feature_shape, len(vocabulary))
    bare.set_weights(model.get_weights())
    before = start.training_images if start is not None else ()
    marks = ImageMarks(chain(before, map(image_mark, clean["train"])))
    return Trained(bare, vocabulary, store.source, history, marks)


def _digest(captions: Mapping[str, Mapping[str, Iterable[str]]]) -> str:
    """Return a hash of the pictures, splits and clean captions that are trained on."""
    digest = hashlib.sha256()
    for split, images in captions.items():
        for image, texts in images.items():
            digest.update(json.dumps([split, image, *texts]).encode())
    return digest.hexdigest()[:16]


def _digest_of_weights(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()[:16]


def _resumable(run: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what may change when a training goes on: versions of packages, and the number of epochs.

    (Where the learning rate follows a schedule, the number of epochs decides every step.)
    """
    training = dict(run["training"])
    if training["schedule"] == "constant":
        del training["epochs"]
    return {**{part: _unversioned(record) for part, record in run.items()}, "training": training}


def _unversioned(record: Any) -> Any:
    """Leave out of the record of a component, or of several, which version of its package it is of."""
    if isinstance(record, list):
        return [_unversioned(one) for one in record]
    if isinstance(record, dict) and "package" in record:
        return {name: value for name, value in record.items() if name != "version"}
    return record
