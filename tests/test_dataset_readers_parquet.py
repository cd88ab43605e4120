"""Tables in several Parquet files of a folder are one table; the names of the files may tell of splits."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from capframe.dataset import Dataset, read_caption_file
from capframe.errors import DatasetError


def shard(folder: Path, name: str, **columns: list[Any]) -> Path:
    folder.mkdir(exist_ok=True)
    parquet.write_table(pa.table(columns), folder / name, row_group_size=1)
    return folder / name


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Return a folder with five pictures in three files, as Hugging Face names them."""
    folder = tmp_path / "captioned"
    shard(folder, "train-00000-of-00002.parquet", image=["a.jpg", "b.jpg"], caption=["A dog", "A cat"])
    shard(folder, "train-00001-of-00002.parquet", image=["b.jpg", "c.jpg"], caption=["Cat", "A cow"])
    shard(folder, "validation-00000-of-00001.parquet", image=["d.jpg"], caption=["A hen"])
    (folder / "README.md").write_text("Drawings.\n")
    (folder / ".train-00002-of-00003.parquet").write_bytes(b"PAR1")
    return folder


def test_the_files_of_a_folder_are_one_table_and_their_names_tell_the_splits(shards: Path) -> None:
    read = read_caption_file(shards)

    assert list(read.captions.items()) == [
        ("a.jpg", ("A dog",)),
        ("b.jpg", ("A cat", "Cat")),
        ("c.jpg", ("A cow",)),
        ("d.jpg", ("A hen",)),
    ]
    assert read.splits == {"train": ("a.jpg", "b.jpg", "c.jpg"), "dev": ("d.jpg",)}


def test_files_of_one_split_are_split_as_any_table_without_splits(shards: Path) -> None:
    (shards / "validation-00000-of-00001.parquet").unlink()

    assert read_caption_file(shards).splits == {}
    assert list(Dataset.read(shards).splits) == ["train", "dev", "test"]


def test_names_that_tell_of_no_split_do_not_matter(tmp_path: Path) -> None:
    shard(tmp_path / "table", "part-1.parquet", image=["a.jpg"], caption=["A dog"])
    shard(tmp_path / "table", "test-1.parquet", image=["b.jpg"], caption=["A cat"])

    read = read_caption_file(tmp_path / "table")

    assert (list(read.captions), read.splits) == (["a.jpg", "b.jpg"], {})


def test_a_column_with_splits_outweighs_the_names_of_the_files(tmp_path: Path) -> None:
    shard(tmp_path / "table", "train.parquet", image=["a.jpg"], caption=["A dog"], split=["test"])
    shard(tmp_path / "table", "test.parquet", image=["b.jpg"], caption=["A cat"], split=["train"])

    assert read_caption_file(tmp_path / "table").splits == {"train": ("b.jpg",), "test": ("a.jpg",)}


def test_pictures_without_names_are_numbered_through_and_found_in_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    shard(folder, "train-00000-of-00002.parquet", image=[b"one", b"two"], caption=["A dog", "A cat"])
    shard(folder, "train-00001-of-00002.parquet", image=[b"three"], caption=["A cow"])

    images: Any = pickle.loads(pickle.dumps(read_caption_file(folder).images))

    assert {name: image.read_bytes() for name, image in images.items()} == {
        "0": b"one",
        "1": b"two",
        "2": b"three",
    }
    assert str(images["2"]) == f"{folder / 'train-00001-of-00002.parquet'}, row 0"


@pytest.mark.parametrize("gone", [0, 1])
def test_a_file_that_is_missing_is_told_of(shards: Path, gone: int) -> None:
    (shards / f"train-0000{gone}-of-00002.parquet").unlink()

    with pytest.raises(
        DatasetError, match=rf"captioned holds 1 of the 2 files train-\.\.\.-of-00002; number {gone} is mis"
    ):
        read_caption_file(shards)


def test_files_may_be_numbered_from_one_and_have_checksums(tmp_path: Path) -> None:
    shard(tmp_path / "table", "train-1-of-2-8a2f.parquet", image=["a.jpg"], caption=["A dog"])
    shard(tmp_path / "table", "train-2-of-2-03bc.parquet", image=["b.jpg"], caption=["A cat"])

    assert list(read_caption_file(tmp_path / "table").captions) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("content", [b"PAR1", b"", b"hello", b"PAR1" + bytes(90)])
def test_a_damaged_file_among_others_is_named(shards: Path, content: bytes) -> None:
    (shards / "train-00001-of-00002.parquet").write_bytes(content)

    with pytest.raises(DatasetError, match=r"train-00001-of-00002\.parquet cannot be read as Parquet"):
        read_caption_file(shards)


def test_the_file_and_the_row_of_a_wrong_caption_are_cited(shards: Path) -> None:
    shard(shards, "validation-00000-of-00001.parquet", image=["d.jpg", "e.jpg"], caption=[["A hen"], [None]])

    with pytest.raises(DatasetError, match=r"validation-00000-of-00001\.parquet, row 1: 'caption' is null"):
        read_caption_file(shards)


def test_a_picture_in_the_files_of_two_splits_is_refused(shards: Path) -> None:
    shard(shards, "validation-00000-of-00001.parquet", image=["a.jpg"], caption=["A hen"])

    with pytest.raises(DatasetError, match=r"'a\.jpg' is in the splits train and dev"):
        read_caption_file(shards)
