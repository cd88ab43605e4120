"""The plugin alone, and in a training run beside capframe's own parts."""

import csv

import numpy as np
import pytest
from capframe_example import ColourGrid, WithoutWords
from PIL import Image

from capframe import Captioner, Dataset, Registry

COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}


def test_colour_grid_gives_the_mean_colour_of_each_cell():
    images = np.zeros((2, 16, 16, 3), np.uint8)
    images[1, :8, 8:] = (255, 0, 51)

    features = ColourGrid(cells=2)(images)

    assert features.dtype == np.float32
    assert features.shape == (2, *ColourGrid(cells=2).feature_shape)
    np.testing.assert_allclose(features[0], 0)
    np.testing.assert_allclose(features[1], [0, 0, 0, 1, 0, 0.2, 0, 0, 0, 0, 0, 0], rtol=1e-6)


def test_without_words_leaves_out_only_whole_words():
    clean = WithoutWords("a the")

    assert clean("the man and a cat") == "man and cat"
    assert clean(clean("the man and a cat")) == "man and cat"


def test_both_parts_are_found_once_the_package_is_installed():
    registry = Registry()

    assert registry.plugin("feature_extractor", "colour-grid").distribution == "capframe-example"
    assert registry.plugin("text_cleaner", "without-words").distribution == "capframe-example"


@pytest.fixture
def dataset(tmp_path):
    rows = []
    for number in range(24):
        word = list(COLOURS)[number % 3]
        Image.new("RGB", (40, 40), COLOURS[word]).save(tmp_path / f"{number}.png")
        rows.append((f"{number}.png", f"The picture is {word}."))
    with (tmp_path / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    return Dataset.read(tmp_path / "captions.csv", images=tmp_path)


def test_a_captioner_is_trained_saved_and_loaded_with_them(dataset, tmp_path):
    captioner = Captioner(
        ("colour-grid", {"cells": 2}),
        ["regex", "without-words"],
        ("add-merge", {"units": 16, "embedding_size": 16, "dropout": 0.0}),
        vocabulary={"min_count": 1},
        training={"epochs": 120, "learning_rate": 0.02},
    )
    captioner.fit(dataset)
    pictures = [Image.new("RGB", (50, 50), colour) for colour in COLOURS.values()]

    captions = captioner.caption(pictures)
    captioner.save(tmp_path / "run")

    assert captions == [f"picture is {word}" for word in COLOURS]
    assert Captioner.load(tmp_path / "run").caption(pictures) == captions
