"""Captioner: the parts composed into one thing that is trained, used, scored, saved and loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import extraction, run_folder
from .captioning import Captioning, Member
from .composition import Composition, Spec, recompose_all
from .dataset import Dataset
from .errors import UsageError
from .extraction import OnBadImage, PathLike
from .features import FeatureStore
from .images import ImageSource
from .options import check_options
from .registry import Registry
from .search import Search
from .starting import starting_point
from .trained import Trained, train
from .training import Logs
from .training_options import TrainingOptions
from .unfinished import check_unbegun, unfinished_run


class Captioner(Captioning):
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

    @property
    def trained(self) -> Trained:
        """What training left: model, vocabulary, history."""
        if self._trained is None:
            raise UsageError("This captioner is not trained. Call fit(), or Captioner.load() a run folder.")
        return self._trained

    @property
    def members(self) -> tuple[Member, ...]:
        """The captioner itself, its only member: its parts, and what training left."""
        return (Member(self.composition, self.trained),)

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
