"""The same pictures and captions in every format are the same `Dataset`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from capframe import PluginManager, Registry
from capframe.dataset import Dataset, read_caption_file
from capframe.drawings import draw_dataset
from capframe.images import read_image

Captions = Mapping[str, tuple[str, ...]]

REGISTRY = Registry(PluginManager(strict=True, disabled={"*"}))

# No zero character: the csv module of Python 3.10 does not read it.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
LINE = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"))
NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\t")).filter(str.strip)


def rows_of(captions: Captions) -> list[tuple[str, str]]:
    return [(name, text) for name, texts in captions.items() for text in texts]


def write_csv(path: Path, header: tuple[str, str], rows: Iterable[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_captions_txt(path: Path, captions: Captions, split_of: Mapping[str, str]) -> Path:
    return write_csv(path, ("image", "caption"), rows_of(captions))


def write_flickr_token(path: Path, captions: Captions, split_of: Mapping[str, str]) -> Path:
    lines = [f"{name}#{n}\t{text}\n" for name, texts in captions.items() for n, text in enumerate(texts)]
    path.write_bytes("".join(["\ufeff", *lines]).encode())
    return path


def write_coco(path: Path, captions: Captions, split_of: Mapping[str, str]) -> Path:
    ids = {name: 7 * number for number, name in enumerate(captions)}
    images = [{"id": number, "file_name": name, "width": 96} for name, number in ids.items()]
    annotations = [
        {"id": n, "image_id": ids[name], "caption": t} for n, (name, t) in enumerate(rows_of(captions))
    ]
    path.write_text(json.dumps({"info": {}, "annotations": annotations, "images": images}, indent=1))
    return path


def write_karpathy(path: Path, captions: Captions, split_of: Mapping[str, str]) -> Path:
    images = []
    for name, texts in captions.items():
        folder, _, file = name.rpartition("/")
        record: dict[str, Any] = {
            "filename": file,
            "sentences": [{"raw": text, "tokens": []} for text in texts],
        }
        record |= {"filepath": folder} if folder else {}
        images.append(record | ({"split": split_of[name]} if name in split_of else {}))
    path.write_text(json.dumps({"dataset": "drawn", "images": images}, ensure_ascii=False), encoding="utf-8")
    return path


def write_metadata_csv(path: Path, captions: Captions, split_of: Mapping[str, str]) -> Path:
    return write_csv(path, ("file_name", "text"), rows_of(captions))


def write_metadata_jsonl(path: Path, captions: Captions, split_of: Mapping[str, str]) -> Path:
    records = [{"file_name": name, "captions": list(texts)} for name, texts in captions.items()]
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    path.write_bytes("".join(lines).encode())
    return path


def write_parquet(path: Path, captions: Captions, split_of: Mapping[str, str]) -> Path:
    table: dict[str, list[Any]] = {
        "image": list(captions),
        "caption": [list(texts) for texts in captions.values()],
    }
    if split_of:
        table["split"] = [split_of[name] for name in captions]
    parquet.write_table(pa.table(table), path, row_group_size=16)
    return path


def write_parquet_rows(path: Path, captions: Captions, split_of: Mapping[str, str]) -> Path:
    names, texts = zip(*rows_of(captions), strict=True)
    parquet.write_table(
        pa.table({"file_name": pa.array(names, pa.large_string()), "text": list(texts)}), path
    )
    return path


WRITERS = {
    "captions-txt": write_captions_txt,
    "flickr-token": write_flickr_token,
    "coco-captions": write_coco,
    "karpathy-json": write_karpathy,
    "metadata.csv": write_metadata_csv,
    "metadata.jsonl": write_metadata_jsonl,
    "parquet": write_parquet,
    "parquet, a row a caption": write_parquet_rows,
}
WITH_SPLITS = ("karpathy-json", "parquet")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """Draw 50 pictures under odd names; return their folder and the dataset as captions.txt gives it."""
    folder = tmp_path_factory.mktemp("drawn")
    drawing = draw_dataset(folder, 50, seed=5)
    with drawing.captions.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    spelt = {"0": "ein Stern/{}", "1": "Été {}", "2": "a,b/{}"}
    captions: dict[str, tuple[str, ...]] = {}
    for number, name in enumerate(dict.fromkeys(name for name, _ in rows)):
        new = spelt.get(str(number % 5), "{}").format(name)
        (drawing.images / new).parent.mkdir(exist_ok=True)
        (drawing.images / name).rename(drawing.images / new)
        own = (text for owner, text in rows if owner == name)
        captions[new] = (*own, f'Größe: "{number}", #1, {{x}}  \u2028 ', "")
    path = write_captions_txt(folder / "captions.txt", captions, {})
    return drawing.images, Dataset.read(path, images=drawing.images, seed=3)


@pytest.mark.parametrize("form", WRITERS)
def test_fifty_drawn_pictures_are_the_same_dataset_in_every_format(
    drawn: tuple[Path, Dataset], tmp_path: Path, form: str
) -> None:
    images, expected = drawn
    path = WRITERS[form](tmp_path / "captions", expected.captions, {})
    assert Dataset.read(path, images=images, seed=3) == expected
    assert (len(expected), expected.missing_images, expected.uncaptioned_images) == (50, (), ())
    assert list(Dataset.read(path, images=images).captions) == list(expected.captions)


@pytest.mark.parametrize("form", WITH_SPLITS)
def test_the_splits_of_a_format_are_followed_unless_split_files_are_given(
    drawn: tuple[Path, Dataset], tmp_path: Path, form: str
) -> None:
    images, expected = drawn
    words = {"train": ["train", "restval"], "dev": ["val"], "test": ["test"]}
    split_of = {
        name: words[split][n % len(words[split])]
        for split, names in expected.splits.items()
        for n, name in enumerate(names)
    }
    path = WRITERS[form](tmp_path / "captions", expected.captions, split_of)
    assert Dataset.read(path, images=images, seed=99) == expected

    one = list(expected.captions)[7]
    (tmp_path / "train.txt").write_text(f"{one}\n", encoding="utf-8")
    given = Dataset.read(path, images=images, train_split=tmp_path / "train.txt")
    assert given.splits == {"train": (one,)}


def bytes_and_paths(images: Path, captions: Captions) -> pa.Table:
    pictures = [{"bytes": (images / name).read_bytes(), "path": name} for name in captions]
    return pa.table({"image": pictures, "caption": [list(texts) for texts in captions.values()]})


def bytes_and_names(images: Path, captions: Captions) -> pa.Table:
    return pa.table(
        {
            "image": [(images / name).read_bytes() for name in captions],
            "filename": list(captions),
            "caption": [list(texts) for texts in captions.values()],
        }
    )


def bytes_and_a_row_a_caption(images: Path, captions: Captions) -> pa.Table:
    rows = rows_of(captions)
    pictures = [{"path": name, "bytes": (images / name).read_bytes()} for name, _ in rows]
    return pa.table({"image": pictures, "caption": [text for _, text in rows]})


@pytest.mark.parametrize("table", [bytes_and_paths, bytes_and_names, bytes_and_a_row_a_caption])
def test_pictures_in_a_parquet_file_are_the_pictures_of_the_folder(
    drawn: tuple[Path, Dataset], tmp_path: Path, table: Callable[[Path, Captions], pa.Table]
) -> None:
    images, expected = drawn
    path = tmp_path / "captions"
    parquet.write_table(table(images, expected.captions), path, row_group_size=13)
    dataset = Dataset.read(path, seed=3)
    assert (dataset.captions, dataset.splits) == (expected.captions, expected.splits)
    assert list(dataset.image_paths) == list(expected.image_paths)
    for name in reversed(dataset.image_paths):
        pixels = read_image(dataset.image_paths[name], (12, 12))
        np.testing.assert_array_equal(pixels, read_image(images / name, (12, 12)))


@pytest.mark.parametrize("metadata", ["metadata.csv", "metadata.jsonl"])
def test_an_imagefolder_brings_its_pictures(
    drawn: tuple[Path, Dataset], tmp_path: Path, metadata: str
) -> None:
    images, expected = drawn
    (images / metadata).unlink(missing_ok=True)
    try:
        WRITERS[metadata](images / metadata, expected.captions, {})
        assert Dataset.read(images, seed=3) == expected
        assert Dataset.read(images / metadata, seed=3) == expected
    finally:
        (images / metadata).unlink()


@settings(deadline=None)
@given(st.dictionaries(NAME, st.lists(TEXT, min_size=1).map(tuple), min_size=1), st.sampled_from([*WRITERS]))
@example({"a.jpg": ('said "go", and\nwent\r\n', "\x85\u2028,"), "b#0.jpg": ('"',)}, "captions-txt")
@example({"a, b.jpg": ('"',), '"q".jpg': ("\u2028\x85\x1c", "")}, "metadata.jsonl")
@example({"\ufeff": ("\ufeff",)}, "flickr-token")
@example({"0,": ("",)}, "flickr-token")
def test_what_is_written_is_read_back_in_every_format(
    tmp_path_factory: pytest.TempPathFactory, captions: Captions, form: str
) -> None:
    if form == "flickr-token":  # a line a caption: it has no way to write the end of a line
        captions = {
            n: tuple(" ".join(t.split("\n")).replace("\r", "") for t in own) for n, own in captions.items()
        }
    if form == "karpathy-json":  # a folder and a file
        captions = {f"a/{name.replace('/', '-')}": texts for name, texts in captions.items()}
    path = WRITERS[form](tmp_path_factory.mktemp("written") / "captions", captions, {})
    read = read_caption_file(path, registry=REGISTRY)
    assert read.captions == captions
    assert list(read.captions) == list(captions)


@settings(deadline=None)
@given(st.lists(st.tuples(NAME, LINE), min_size=1))
@example([("a.jpg", 'two, "quoted", words'), ("a.jpg", '" "')])
def test_rows_without_quoting_are_read_back_with_the_option(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    rows = [(name.replace(",", ";"), text) for name, text in rows]
    path = tmp_path_factory.mktemp("written") / "captions"
    lines = "".join(f"{name},{text}\n" for name, text in [("image", "caption"), *rows])
    path.write_bytes(lines.encode())
    read = read_caption_file(path, ("captions-txt", {"quoted": False}), REGISTRY)
    assert read.captions == {n: tuple(text for name, text in rows if name == n) for n, _ in rows}
