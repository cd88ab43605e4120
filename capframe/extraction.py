"""The features that a captioner is trained on: those of a store, and those of pictures it lacks."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import TypeAlias

from .composition import Composition
from .dataset import Dataset
from .errors import ImageError
from .feature_filling import extract_features
from .feature_parts import StorageDtype
from .features import FeatureSource, FeatureStore
from .image_views import views_of
from .images import ImageSource
from .name_table import restricted
from .progress import track

PathLike: TypeAlias = str | os.PathLike[str]
OnBadImage: TypeAlias = Callable[[str, ImageError], None]


def extract(
    composition: Composition,
    images: Mapping[str, ImageSource],
    store: FeatureStore | PathLike,
    *,
    batch_size: int = 32,
    dtype: StorageDtype | None = None,
    progress: bool = False,
    on_bad_image: OnBadImage | None = None,
) -> FeatureStore:
    """Fill a feature store with the features of ``images`` (name -> file) that it does not hold yet.

    A new store keeps numbers as ``dtype``; by default grids of regions as float16, as they take gigabytes,
    and vectors as float32.

    Raises:
        FeatureStoreError: the store was filled by another extractor, other options or weights.
        ImageError: a picture cannot be read and there is no ``on_bad_image`` to report it to.
    """
    component = composition.feature_extractor
    with track(len(images), "extracting features", enabled=progress) as bar:
        return extract_features(
            component.value,
            FeatureSource.of(component.value, component.name, component.options),
            images,
            store.path if isinstance(store, FeatureStore) else store,
            batch_size=batch_size,
            dtype=dtype or ("float16" if len(component.value.feature_shape) > 1 else "float32"),
            progress=bar.reach,
            on_bad_image=on_bad_image,
        )


def training_features(
    composition: Composition,
    dataset: Dataset,
    features: FeatureStore | PathLike,
    *,
    progress: bool = False,
    on_bad_image: OnBadImage | None = None,
) -> FeatureStore:
    """Return a store with the features of all pictures of ``dataset``.

    A store that exists chooses the feature extractor, unless the user has chosen one. What it lacks is
    extracted into it; without picture files it is taken as it is.

    Raises:
        FeatureStoreError: the store was filled by another extractor, other options or weights.
        ImageError: a picture cannot be read and there is no ``on_bad_image`` to report it to.
    """
    if isinstance(features, FeatureStore) or FeatureStore.exists(features):
        store = features if isinstance(features, FeatureStore) else FeatureStore(features)
        if not composition.extractor_is_chosen:
            composition.choose_extractor((store.source.extractor, store.source.options))
        component = composition.feature_extractor
        if not dataset.image_paths:
            # Stored features alone: the extractor itself, and its weights, are not needed.
            store.check_source(replace(store.source, extractor=component.name, options=component.options))
            return store
        features = store.path
    store = extract(composition, dataset.image_paths, features, progress=progress, on_bad_image=on_bad_image)
    views = training_views(composition, dataset, store)
    return extract(composition, views, store, progress=progress) if views else store


def training_views(
    composition: Composition, dataset: Dataset, readable: Container[str]
) -> Mapping[str, ImageSource]:
    """Return the further views of ``readable`` training pictures that ``training.views`` asks for."""
    paths, views = dataset.image_paths, composition.training_options.views - 1
    learnt = (name for name in dataset.splits.get("train", ()) if name in readable)
    return views_of(restricted(paths, learnt), views) if views else {}
