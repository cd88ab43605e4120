from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from capframe import feature_parts
from capframe.errors import FeatureStoreError
from capframe.features import FeatureSource, FeatureStore

SOURCE = FeatureSource("mean-colour", {"scale": 2.0}, (3,), "abcd")


def rows(levels):
    return np.repeat(np.asarray(levels, np.float32)[:, None], 3, axis=1)


def parts(path):
    return sorted(path.glob("part-*.arrow"))


def test_features_are_read_from_the_mapped_file_and_not_copied(tmp_path):
    store = FeatureStore.create(tmp_path, SOURCE)
    store.add(["a", "b"], rows([1, 2]))

    features = feature_parts.read_part(parts(tmp_path)[-1]).features

    assert not features.flags.owndata
    assert not features.flags.writeable


def test_the_same_weights_in_another_file_are_the_same_source():
    here = FeatureSource("vgg16", {"weights": "/here.h5", "layer": "fc2"}, (4096,), "abcd")
    there = replace(here, options={"weights": "/there.h5", "layer": "fc2"})

    assert here.gives_same_as(there)
    assert not here.gives_same_as(replace(there, fingerprint="ffff"))
    assert not here.gives_same_as(replace(there, options={"weights": "/there.h5", "layer": "fc1"}))
    assert not replace(here, fingerprint="").gives_same_as(replace(there, fingerprint=""))


def test_an_option_that_is_none_is_as_one_that_the_extractor_did_not_have_yet():
    before = FeatureSource("grid", {"crops": 2}, (49, 1280), "abcd")
    since = replace(before, options={"crops": 2, "image_size": None})

    assert before.gives_same_as(since)
    assert since.gives_same_as(before)
    assert not before.gives_same_as(replace(since, options={"crops": 2, "image_size": 288}))
    assert not before.gives_same_as(replace(since, options={"crops": None, "image_size": None}))


def test_a_source_survives_json_and_compares_lists_with_tuples():
    source = FeatureSource("grid", {"crops": (1, 2)}, (49, 1280), "abcd")

    again = FeatureSource.from_json(source.to_json())

    assert again.gives_same_as(source)
    assert again.feature_shape == (49, 1280)
    with pytest.raises(FeatureStoreError, match="fingerprint"):
        FeatureSource.from_json({"extractor": "grid", "options": {}, "feature_shape": [3]})


def test_a_source_describes_an_extractor_with_or_without_fingerprint():
    extractor = SimpleNamespace(feature_shape=(3,))
    assert FeatureSource.of(extractor, "mean", {"a": 1}) == FeatureSource("mean", {"a": 1}, (3,), "")
    extractor.fingerprint = "1234"
    assert FeatureSource.of(extractor, "mean").fingerprint == "1234"


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"x" * 99]
)
def test_a_damaged_part_is_named(tmp_path, damage):
    FeatureStore.create(tmp_path, SOURCE).add(["a"], rows([1]))
    part = parts(tmp_path)[-1]
    part.write_bytes(damage(part.read_bytes()))

    with pytest.raises(FeatureStoreError, match=part.name) as error:
        FeatureStore(tmp_path)

    assert "delete it" in str(error.value)


def test_a_part_of_a_later_format_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(feature_parts, "FORMAT_VERSION", 2)
        feature_parts.write_part(tmp_path, SOURCE, ["a"], rows([1]))

    with pytest.raises(FeatureStoreError, match="format 2"):
        FeatureStore(tmp_path)


def test_a_part_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    store = FeatureStore.create(tmp_path, SOURCE)
    before = sorted(tmp_path.iterdir())

    def full_disk(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(FeatureStoreError, match=r"No space left.*Make room"):
        store.add(["a"], rows([1]))

    assert sorted(tmp_path.iterdir()) == before
    assert "a" not in store
