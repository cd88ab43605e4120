"""Captioner: the parts composed into one thing that is trained, used, scored, saved and loaded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import run_folder
from .composition import Composition, Spec, recompose_all
from .dataset import Dataset
from .errors import ImageError, UsageError
from .evaluation import evaluate
from .features import FeatureSource, FeatureStore, extract_features
from .images import ImageSource, iterate_batches
from .progress import track
from .registry import Registry
from .scoring import ScoreReport
from .search import Search, SearchOptions
from .trained import Trained, train
from .training import Logs

CAPTIONING_BATCH = 32

PathLike = str | os.PathLike[str]
Features = NDArray[np.float32]
OnBadImage = Callable[[str, ImageError], None]


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
        training: options of the training, see `capframe.training.TrainingOptions`.
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
        out: PathLike | None = None,
        overwrite: bool = False,
        progress: bool = False,
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
            out: also leave a run folder here; callbacks may write into it.
            overwrite: replace ``out`` where it exists.
            progress: show what is going on.
            on_bad_image: called with name and error of pictures that cannot be read, which are then
                left out; without it they raise.

        Returns:
            The logs of each epoch, see `capframe.training.fit`.

        Raises:
            RunFolderError: ``out`` exists.
            TrainingError: there is nothing to train on, or the loss is no longer a number.
        """
        if out is not None:
            run_folder.check_free(Path(out), overwrite)
        given = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
        changes = {name: value for name, value in given.items() if value is not None}
        composition = self.composition
        composition.training_options = replace(composition.training_options, **changes)
        with tempfile.TemporaryDirectory(prefix="capframe-") as scratch:
            store = self._features_of(dataset, features or Path(scratch) / "features", progress, on_bad_image)
            captions = {
                split: {image: texts for image, texts in dataset.split(split).items() if image in store}
                for split in ("train", "dev")
                if split in dataset.splits
            }
            if out is None:
                self._use(train(composition, captions, store, Path(scratch), progress=progress))
            else:
                with run_folder.new_run_folder(Path(out), overwrite=overwrite) as folder:
                    self._use(train(composition, captions, store, folder, progress=progress))
                    self.trained.write(folder, composition)
        return self.trained.history

    def _features_of(
        self,
        dataset: Dataset,
        features: FeatureStore | PathLike,
        progress: bool,
        on_bad_image: OnBadImage | None,
    ) -> FeatureStore:
        known = isinstance(features, FeatureStore) or FeatureStore.exists(features)
        if known:
            store = features if isinstance(features, FeatureStore) else FeatureStore(features)
            if not self.composition.extractor_is_chosen:
                self.composition.choose_extractor((store.source.extractor, store.source.options))
            component = self.composition.feature_extractor
            if not dataset.image_paths:
                # Stored features alone: the extractor itself, and its weights, are not needed.
                store.check_source(replace(store.source, extractor=component.name, options=component.options))
                return store
            features = store.path
        return self.extract(dataset.image_paths, features, progress=progress, on_bad_image=on_bad_image)

    def extract(
        self,
        images: Mapping[str, Path],
        store: FeatureStore | PathLike,
        *,
        batch_size: int = 32,
        progress: bool = False,
        on_bad_image: OnBadImage | None = None,
    ) -> FeatureStore:
        """Fill a feature store with the features of ``images`` (name -> file) that it does not hold yet.

        Raises:
            FeatureStoreError: the store was filled by another extractor, other options or weights.
            ImageError: a picture cannot be read and there is no ``on_bad_image`` to report it to.
        """
        component = self.composition.feature_extractor
        with track(len(images), "extracting features", enabled=progress) as bar:
            return extract_features(
                component.value,
                FeatureSource.of(component.value, component.name, component.options),
                images,
                store.path if isinstance(store, FeatureStore) else store,
                batch_size=batch_size,
                progress=bar.reach,
                on_bad_image=on_bad_image,
            )

    def caption(self, images: Iterable[ImageSource], **search: Any) -> list[str]:
        """Caption pictures: paths, PIL images, or RGB uint8 arrays ``[H, W, 3]``.

        Args:
            images: the pictures.
            **search: ``beam``, ``max_words``, ``min_words``, ``length_penalty``; see
                `capframe.search.SearchOptions`.

        Raises:
            ImageError: a picture cannot be read.
        """
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
        _ = self.trained
        extractor = self.composition.feature_extractor.value
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

    def save(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write a run folder: configuration, vocabulary, decoder, history.

        Raises:
            RunFolderError: ``path`` exists.
        """
        trained = self.trained
        with run_folder.new_run_folder(Path(path), overwrite=overwrite) as folder:
            trained.write(folder, self.composition)

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
        captioner._use(Trained.read(Path(path), config))
        return captioner
