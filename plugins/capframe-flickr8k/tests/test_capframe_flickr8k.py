"""The captioner of the package: it is found, captions photographs, and can be built anew."""

import json
import re
from pathlib import Path

import pytest
from capframe_flickr8k.build import build
from PIL import Image
from sklearn.datasets import load_sample_images

from capframe import Captioner, Dataset, Registry

MOST_BYTES = 12_000_000


@pytest.fixture(scope="module")
def folder():
    return Registry().captioner("flickr8k")


def test_capframe_offers_it():
    assert Registry().plugin("captioner", "flickr8k").distribution == "capframe-flickr8k"


def test_it_captions_photographs_with_nothing_else_installed(folder):
    parts = json.loads((folder / "config.json").read_text())
    assert {parts[part]["package"] for part in ("feature_extractor", "decoder")} == {"capframe"}
    pictures = load_sample_images().images  # a temple, and a flower
    captioner = Captioner.load(folder)
    captions = captioner.caption(pictures)
    assert len(set(captions)) == 2
    for caption in captions:
        assert 4 <= len(caption.split()) <= 20
        assert set(caption.split()) <= set(captioner.trained.vocabulary.words)


def test_it_is_small_and_holds_no_pictures_no_captions_and_no_names(folder):
    files = sorted(folder.iterdir())
    texts = {"config.json", "history.csv", "metrics.json", "training_images.txt", "vocabulary.txt"}
    assert {file.name for file in files} == {"best_model.keras", *texts}
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    marks = (folder / "training_images.txt").read_text().split()
    assert all(re.fullmatch("[0-9a-f]{16}", mark) for mark in marks)
    words = (folder / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    assert not any(" " in word for word in words)


def test_it_is_built_in_two_stages_and_what_is_done_is_not_done_twice(tmp_path):
    colours = {"red": (200, 0, 0), "green": (0, 200, 0)}
    rows = ["image,caption"]
    for number in range(8):
        colour = list(colours)[number % 2]
        Image.new("RGB", (64, 64), colours[colour]).save(tmp_path / f"{number}.png")
        rows += [f"{number}.png,a {colour} wall stands here"] * 5
    (tmp_path / "captions.txt").write_text("\n".join(rows))
    for split, numbers in {"train": range(6), "dev": (6, 7)}.items():
        (tmp_path / f"{split}.txt").write_text("".join(f"{number}.png\n" for number in numbers))
    splits = {f"{split}_split": tmp_path / f"{split}.txt" for split in ("train", "dev")}
    dataset = Dataset.read(tmp_path / "captions.txt", images=tmp_path, **splits)

    short = {"epochs": 1, "views": 2}
    scores = build(dataset, tmp_path / "work", tmp_path / "run", short, short)
    assert scores["split"] == "dev"
    assert scores == json.loads((tmp_path / "run" / "metrics.json").read_text())
    objectives = [
        json.loads((tmp_path / name / "config.json").read_text())["training"]["objective"]
        for name in ("work/first", "run")
    ]
    assert objectives == ["cross-entropy", "self-critical"]

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*") if path.is_file()}
    build(dataset, tmp_path / "work", tmp_path / "run", short, short)
    after = {path: path.stat().st_mtime_ns for path in Path(tmp_path / "work").rglob("*") if path.is_file()}
    assert after == before
