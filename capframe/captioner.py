"""Captioner: the parts composed into one thing that is trained, used, scored, saved and loaded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from . import extraction, run_folder
from .composition import Composition, Spec, recompose_all
from .dataset import Dataset
from .errors import UsageError
from .evaluation import evaluate
from .extraction import OnBadImage, PathLike
from .features import FeatureStore
from .images import ImageSource, iterate_batches
from .options import check_options
from .registry import Registry
from .scoring import ScoreReport
from .search import Search, SearchOptions
from .starting import starting_point
from .trained import Trained, train
from .training import Logs
from .training_options import TrainingOptions
from .unfinished import check_unbegun, unfinished_run

CAPTIONING_BATCH = 32
Features = NDArray[np.float32]


class Captioner:
    """An image captioner made of a feature extractor, text cleaners, a decoder and callbacks.

    Each part is a registered name, a ``(name, options)`` pair, or a ready object.

    Args:
        feature_extractor: turns pictures into features; default ``vgg16``, or whatever filled the
            feature store that ``fit`` is given.
        text_cleaners: applied to every caption, in this order.
        decoder: predicts the next word.
        callbacks: Keras callbacks, called while training.
        vocabulary: options of the vocabulary: ``min_count`` (default 5).
        training: options of the training, see `capframe.training_options.TrainingOptions`.
        registry: where names are looked up; by default everything that is installed.

    Raises:
        UnknownComponentError: a name that no installed plugin offers.
        OptionError: an option that a part does not have, or a value of a wrong type.
    """

    def __init__(
        self,
        feature_extractor: Spec | None = None,
        text_cleaners: Sequence[Spec] = ("regex",),
        decoder: Spec = "add-merge",
        callbacks: Sequence[Spec] = ("checkpoint", "early-stopping", "reduce-lr"),
        *,
        vocabulary: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        registry: Registry | None = None,
    ) -> None:
        self.composition = Composition(
            registry or Registry(),
            feature_extractor=feature_extractor,
            text_cleaners=text_cleaners,
            decoder=decoder,
            callbacks=callbacks,
            vocabulary=vocabulary or {},
            training=training or {},
        )
        self._trained: Trained | None = None
        self._search: Search | None = None

    def fit(
        self,
        dataset: Dataset,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        seed: int | None = None,
        features: FeatureStore | PathLike | None = None,
        start: Captioner | PathLike | None = None,
        out: PathLike | None = None,
        overwrite: bool = False,
        resume: bool = False,
        progress: bool = False,
        on_epoch: Callable[[Logs], None] | None = None,
        on_bad_image: OnBadImage | None = None,
    ) -> list[Logs]:
        """Train on the ``train`` split of ``dataset``; keep the weights with the lowest watched loss.

        Args:
            dataset: captions, pictures and splits; the loss on ``dev`` is watched where there is one.
            epochs: in place of ``training["epochs"]``.
            batch_size: in place of ``training["batch_size"]``, in pictures.
            seed: in place of ``training["seed"]``.
            features: a feature store, or a folder for one; what it lacks is extracted into it.
                Default: one that is thrown away after training.
            start: run folder, or trained captioner, with weights and vocabulary to start from.
            out: also leave a run folder here; callbacks may write into it.
            overwrite: replace ``out`` where it exists, and start over where it was begun.
            resume: go on after the last finished epoch of a training to ``out`` that was interrupted; where
                there is none, begin.
            progress: show what is going on.
            on_epoch: called with the logs of each epoch.
            on_bad_image: called with name and error of pictures that cannot be read, which are then
                left out; without it they raise.

        Returns:
            The logs of each epoch, see `capframe.training.fit`.

        Raises:
            RunFolderError: ``out`` exists, or an interrupted training to it and neither ``resume`` nor
                ``overwrite`` is set; or a file cannot be written.
            UsageError: the interrupted training was another one, or ``start`` is missing or does not fit.
            TrainingError: there is nothing to train on, or the loss is no longer a number.
        """
        if out is not None:
            check_unbegun(Path(out), overwrite=overwrite, resume=resume)
        elif resume:
            raise UsageError("fit(resume=True) needs `out`: what is unfinished is kept beside it.")
        given = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
        changes = {name: value for name, value in given.items() if value is not None}
        composition = self.composition
        options = {**asdict(composition.training_options), **changes}
        composition.training_options = TrainingOptions(**check_options("training", TrainingOptions, options))
        for part in (composition.decoder, *composition.callbacks):
            _ = part.value  # options out of range are an error now, not after hours of extraction
        begin = starting_point(composition, start)
        with tempfile.TemporaryDirectory(prefix="capframe-", ignore_cleanup_errors=True) as scratch:
            store = extraction.training_features(
                composition,
                dataset,
                Path(scratch) / "features" if features is None else features,
                progress=progress,
                on_bad_image=on_bad_image,
            )
            shown: dict[str, Any] = {"start": begin, "progress": progress, "on_epoch": on_epoch}
            if out is None:
                self._use(train(composition, dataset, store, Path(scratch), **shown))
            else:
                with unfinished_run(Path(out), overwrite=overwrite, resume=resume) as folder:
                    self._use(train(composition, dataset, store, folder, keep_state=True, **shown))
                    self.trained.write(folder, composition)
                    run_folder.write_text(folder / run_folder.DATASET_REPORT, dataset.dataset_report)
        return self.trained.history

    def extract(
        self, images: Mapping[str, ImageSource], store: FeatureStore | PathLike, **options: Any
    ) -> FeatureStore:
        """Fill a feature store with the features of ``images``; see `capframe.extraction.extract`."""
        return extraction.extract(self.composition, images, store, **options)

    def caption(self, images: Iterable[ImageSource], **search: Any) -> list[str]:
        """Caption pictures: paths, PIL images, or RGB uint8 arrays ``[H, W, 3]``.

        Args:
            images: the pictures.
            **search: ``beam``, ``max_words``, ``min_words``, ``length_penalty``; see
                `capframe.search.SearchOptions`.

        Raises:
            ImageError: a picture cannot be read.
            UsageError: ``images`` is one picture, not several.
        """
        if isinstance(images, (str, os.PathLike, Image)) or (
            isinstance(images, np.ndarray) and images.ndim < 4
        ):
            raise UsageError("caption() takes several pictures: put one picture in a list, [picture].")
        named = {str(number): image for number, image in enumerate(images)}
        captions = dict(self.caption_each(named, **search))
        return [captions[name] for name in named]

    def caption_each(
        self, images: Mapping[str, ImageSource], on_bad_image: OnBadImage | None = None, **search: Any
    ) -> Iterator[tuple[str, str]]:
        """Yield (name, caption) for each of ``images`` (name -> picture), batch by batch.

        Raises:
            ImageError: a picture cannot be read and there is no ``on_bad_image`` to report it to.
        """
        extractor = self.trained.checked_extractor(self.composition.feature_extractor)
        for names, pixels in iterate_batches(images, extractor.image_size, CAPTIONING_BATCH, on_bad_image):
            yield from zip(names, self.caption_features(extractor(pixels), **search), strict=True)

    def caption_features(self, features: Features, **search: Any) -> list[str]:
        """Caption pictures from their features, float32 ``[N, *feature_shape]``; see `caption`."""
        shape = self.trained.source.feature_shape
        features = np.asarray(features, np.float32)
        if features.shape[1:] != shape:
            raise UsageError(f"The features have shape {features.shape}; they must be [N, {shape}].")
        assert self._search is not None
        tokens, _ = self._search(features, SearchOptions.of(search))
        return [self.trained.vocabulary.decode(row) for row in tokens.tolist()]

    def evaluate(
        self, dataset: Dataset, split: str = "dev", **options: Any
    ) -> tuple[ScoreReport, dict[str, str]]:
        """Score the captions of one split; see `capframe.evaluation.evaluate`."""
        return evaluate(self, dataset, split, **options)

    @property
    def trained(self) -> Trained:
        """What training left: model, vocabulary, history."""
        if self._trained is None:
            raise UsageError("This captioner is not trained. Call fit(), or Captioner.load() a run folder.")
        return self._trained

    def _use(self, trained: Trained) -> None:
        self._trained = trained
        self._search = Search(self.composition.decoder.value, trained.model)

    def save(self, path: PathLike, *, overwrite: bool = False, half_precision: bool = False) -> None:
        """Write a run folder: configuration, vocabulary, decoder, history.

        With ``half_precision`` the weights are rounded to float16, which takes half the room.

        Raises:
            RunFolderError: ``path`` exists, or a weight is too large for ``half_precision``.
        """
        trained = self.trained
        with run_folder.new_run_folder(Path(path), overwrite=overwrite) as folder:
            trained.write(folder, self.composition, half_precision=half_precision)

    @classmethod
    def load(cls, path: PathLike, *, registry: Registry | None = None, **parts: Spec) -> Captioner:
        """Load a run folder. No code from the folder is run.

        Args:
            path: the folder.
            registry: where names are looked up; by default everything that is installed.
            **parts: ``feature_extractor``, ``text_cleaners``, ``decoder`` or ``callbacks`` in place of
                what the run recorded; needed for parts that were ready-made objects.

        Raises:
            RunFolderError: something in the folder is missing or damaged.
            UnknownComponentError: a plugin is missing; names the package to install.
        """
        config = run_folder.read_config(Path(path))
        registry = registry or Registry()
        captioner = cls(registry=registry, **recompose_all(registry, config, parts))
        captioner._use(Trained.read(Path(path), config, captioner.composition.decoder.value))
        return captioner
