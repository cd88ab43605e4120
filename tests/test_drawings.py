from __future__ import annotations

import csv
import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from capframe.drawings import (
    COLOURS,
    CORNERS,
    NUMBERS,
    PLACES,
    SHAPES,
    SIZES,
    Scene,
    captions_of,
    draw,
    draw_dataset,
    is_true_of,
    read_truth,
)
from capframe.errors import DatasetError, UsageError

TWO_RED_CIRCLES = Scene("circle", "red", "small", 2, ("top left", "top right"))
A_BLUE_STAR = Scene("star", "blue", "large", 1, ("top",))


@st.composite
def scenes(draw_from: st.DrawFn) -> Scene:
    count = draw_from(st.sampled_from(sorted(NUMBERS)))
    places = PLACES if count == 1 else CORNERS
    positions = draw_from(st.permutations(places))[:count]
    shape, colour, size = (draw_from(st.sampled_from(sorted(kind))) for kind in (SHAPES, COLOURS, SIZES))
    return Scene(shape, colour, size, count, tuple(positions))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_dataset(tmp_path_factory.mktemp("drawn"), pictures=128, seed=3)


@pytest.mark.parametrize(
    "caption",
    [
        "two small red circles",
        "Two small, red circles.",
        "two red circles",
        "two red and small circles",
        "there are two small circles and they are red",
        "the picture shows two little red circles at the top",
        "two red circles that are at the top",
    ],
)
def test_a_caption_whose_every_fact_holds_is_true(caption):
    assert is_true_of(caption, TWO_RED_CIRCLES)


@pytest.mark.parametrize(
    ("caption", "why"),
    [
        ("three small red circles", "number"),
        ("two small blue circles", "colour"),
        ("two small red squares", "shape"),
        ("two large red circles", "size"),
        ("two small red circle", "singular noun for two"),
        ("there is two red circles", "singular verb for two"),
        ("there are two circles and it is red", "singular pronoun for two"),
        ("two red circles at the bottom", "place of neither"),
        ("two red circles at the top left", "place of one of them only"),
        ("two small circles", "no colour"),
        ("small red circles", "no number"),
        ("two small red", "no shape"),
        ("two shiny red circles", "unknown word"),
        ("two red circles 2", "unknown word"),
        ("two red circles <unk>", "unknown word"),
        ("two red circles that are blue", "contradiction"),
        ("two small large red circles", "contradiction"),
        ("two red circles and two blue circles", "something that isn't there"),
        ("two red red circles", "stutter"),
        ("circles red two", "no sentence"),
        ("two red circles that are", "half a sentence"),
        ("not two red circles", "negation"),
        ("", "nothing"),
    ],
)
def test_a_caption_that_is_wrong_or_lacks_a_part_is_not_true(caption, why):
    assert not is_true_of(caption, TWO_RED_CIRCLES), why


@pytest.mark.parametrize(
    ("caption", "true"),
    [
        ("a large blue star", True),
        ("one big blue star that is at the top", True),
        ("here is a blue star and it is large", True),
        ("a large blue star at the bottom", False),
        ("a large blue star at the top at the bottom", False),
        ("a large blue stars", False),
        ("here are one blue star", False),
    ],
)
def test_a_single_shape_is_spoken_of_in_the_singular_and_in_its_place(caption, true):
    assert is_true_of(caption, A_BLUE_STAR) is true


def test_the_captions_of_a_scene_are_the_worked_out_ones():
    assert captions_of(A_BLUE_STAR) == [
        "A large blue star at the top.",
        "Here is one big blue star at the top.",
        "There is one large star and it is blue.",
        "The picture shows one blue star that is large.",
    ]
    assert captions_of(TWO_RED_CIRCLES) == [
        "Two small red circles.",
        "Here are two little red circles.",
        "There are two small circles and they are red.",
        "The picture shows two red circles that are small.",
    ]


@settings(deadline=None)
@given(scenes(), scenes())
def test_own_captions_are_true_of_their_scene_and_never_of_one_of_another_kind(scene, other):
    for caption in captions_of(scene):
        assert is_true_of(caption, scene)
        same = (scene.shape, scene.colour, scene.size, scene.count)
        if same != (other.shape, other.colour, other.size, other.count):
            assert not is_true_of(caption, other)


@settings(max_examples=25, deadline=None)
@given(scenes(), st.integers(0, 9))
def test_a_drawing_has_the_colour_where_the_scene_says_and_nowhere_else(scene, seed):
    hsv = np.asarray(draw(scene, random.Random(seed), np.random.default_rng(seed)).convert("HSV"), float)
    coloured = hsv[..., 1] > 128  # the ground is pale
    degrees = hsv[..., 0][coloured] * 360 / 255
    away = np.abs((degrees - COLOURS[scene.colour] + 180) % 360 - 180)
    assert np.median(away) < 12
    third = {"top": slice(0, 90), "bottom": slice(134, 224)}
    for position in PLACES if scene.count == 1 else CORNERS:
        words = position.split()
        down = third[words[0]]
        across = (
            slice(67, 157) if len(words) == 1 else slice(0, 90) if words[1] == "left" else slice(134, 224)
        )
        rows, columns = np.nonzero(coloured[down, across])
        centred = len(rows) > 0 and np.hypot(np.median(rows) - 44.5, np.median(columns) - 44.5) < 30
        assert centred == (position in scene.positions)


def test_large_shapes_cover_at_least_three_times_the_area_of_small_ones():
    for shape in SHAPES:
        areas = {size: [] for size in SIZES}
        for size, seed in [(size, seed) for size in SIZES for seed in range(10)]:
            scene = Scene(shape, "red", size, 1, ("top",))
            drawing = draw(scene, random.Random(seed), np.random.default_rng(seed))
            areas[size].append((np.asarray(drawing.convert("HSV"))[..., 1] > 128).sum())
        assert min(areas["large"]) > 3 * max(areas["small"])


def test_every_attribute_is_equally_frequent(drawn):
    # 4 shapes x 4 colours x 2 sizes x 4 numbers = 128 pictures: each combination exactly once
    assert len({(s.shape, s.colour, s.size, s.count) for s in drawn.scenes.values()}) == 128
    assert Counter(scene.colour for scene in drawn.scenes.values()) == dict.fromkeys(COLOURS, 32)


def test_the_files_hold_what_was_drawn(drawn):
    with drawn.captions.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["image", "caption"]
    assert Counter(image for image, _ in rows) == dict.fromkeys(drawn.scenes, 4)
    assert all(is_true_of(caption, drawn.scenes[image]) for image, caption in rows)
    assert {path.name for path in drawn.images.iterdir()} == set(drawn.scenes)
    with Image.open(drawn.images / "drawing-0001.png") as picture:
        assert (picture.size, picture.mode, picture.format) == ((224, 224), "RGB", "PNG")
    assert read_truth(drawn.truth) == drawn.scenes


def test_the_splits_share_out_all_pictures(drawn):
    train, dev, test = (
        path.read_text().split() for path in (drawn.train_split, drawn.dev_split, drawn.test_split)
    )
    assert (len(train), len(dev), len(test)) == (100, 14, 14)
    assert sorted(train + dev + test) == sorted(drawn.scenes)


def test_a_seed_draws_the_same_captions_and_pixels_and_another_seed_others(tmp_path):
    def everything(folder, seed):
        drawn = draw_dataset(tmp_path / folder, pictures=6, seed=seed)
        pixels = [np.asarray(Image.open(path)).tobytes() for path in sorted(drawn.images.iterdir())]
        return drawn.captions.read_bytes(), drawn.truth.read_bytes(), pixels

    first, again, other = everything("first", 1), everything("again", 1), everything("other", 2)
    assert first == again
    assert first[0] != other[0]
    assert len(set(first[2])) == 6


def test_progress_is_told_after_each_picture(tmp_path):
    calls = []
    draw_dataset(tmp_path, pictures=3, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_too_few_pictures_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"Cannot draw 2 pictures.*3 or more"):
        draw_dataset(tmp_path / "none", pictures=2)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", [None, "{", "[1]", '{"a.png": {"shape": "star"}}', '{"a.png": 1}'])
def test_a_truth_file_that_was_not_drawn_is_refused_by_name(tmp_path, content):
    path = tmp_path / "truth.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DatasetError, match=r"truth\.json does not hold drawn scenes"):
        read_truth(path)


def test_truth_is_plain_json(drawn):
    scene = json.loads(drawn.truth.read_text())["drawing-0001.png"]
    assert set(scene) == {"shape", "colour", "size", "count", "positions"}
