from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capframe.dataset import Dataset, read_captions, read_split
from capframe.errors import DatasetError, UsageError

# No zero character: the csv module of Python 3.10 does not read it.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NAME = TEXT.filter(lambda text: text.strip() and "\t" not in text)


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    """Write two captions each for the pictures 00.jpg to 09.jpg."""
    rows = [f"{number:02}.jpg,caption {number} {which}\n" for number in range(10) for which in "ab"]
    return written(tmp_path / "captions.txt", "image,caption\n" + "".join(rows))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write files (only their names count) for the pictures 00.jpg to 09.jpg."""
    folder = tmp_path / "Images"
    folder.mkdir()
    for number in range(10):
        written(folder / f"{number:02}.jpg", b"")
    return folder


def test_captions_keep_their_order_and_exact_text(tmp_path: Path) -> None:
    path = written(
        tmp_path / "captions.txt",
        'image,caption\nb.jpg,A dog .\na.jpg,"Red, green ""and"" blue"\n'
        "b.jpg, Two  dogs \nb.jpg,A dog .\nc.jpg,\n",
    )
    captions = read_captions(path)
    assert list(captions) == ["b.jpg", "a.jpg", "c.jpg"]
    assert captions == {
        "b.jpg": ("A dog .", " Two  dogs ", "A dog ."),
        "a.jpg": ('Red, green "and" blue',),
        "c.jpg": ("",),
    }


@pytest.mark.parametrize(
    "content",
    [
        "a.jpg,Un café, deux\n",
        "image,caption\na.jpg,Un café, deux\n",
        'Image, Caption\r\n\r\na.jpg,"Un café, deux"\r\n',
        "\ufeffimage,caption\n\n , \na.jpg,Un café, deux",
        '\ufeff"image","caption"\r"a.jpg","Un café, deux"\r',
    ],
)
def test_header_byte_order_mark_line_ends_and_quotes_are_a_matter_of_taste(
    tmp_path: Path, content: str
) -> None:
    assert read_captions(written(tmp_path / "captions.csv", content)) == {"a.jpg": ("Un café, deux",)}


@settings(deadline=None)
@given(st.lists(st.tuples(NAME, TEXT), min_size=1))
@example([("a.jpg", 'said "go", and\nwent\r\n'), ("a.jpg", "\x85\u2028,"), ("b.jpg", '"')])
def test_rows_of_csv_writer_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("captions") / "captions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    captions = read_captions(path)
    assert list(captions) == list(dict.fromkeys(name for name, _ in rows))
    assert captions == {name: tuple(text for owner, text in rows if owner == name) for name in captions}


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("image,caption\na.jpg,A dog\n\na.jpg A cat\n", 4, "found no comma in 'a.jpg A cat'"),
        ('a.jpg,"A dog\nb.jpg,"A cat, asleep"\n', 1, "not a CSV row"),
        ('a.jpg,A dog\nb.jpg,"A cat\nc.jpg,A cow\n', 2, "not a CSV row"),
        ('a.jpg,"one\ntwo"\nb.jpg,"A" cat\n', 3, "not a CSV row"),
        ("a.jpg,A dog\n ,A cat\n", 2, "no picture name before the caption 'A cat'"),
        ("image,caption,split\na.jpg,A dog,train\n", 1, "columns image, caption, split"),
        ("image,caption\na.jpg#0\tA dog , running\n", 2, "a tab in 'a.jpg#0"),
        (b"a.jpg,A dog\nb.jpg,Un caf\xe9\n", 2, "not UTF-8"),
    ],
)
def test_a_broken_row_is_refused_with_file_and_line(
    tmp_path: Path, content: str | bytes, line: int, message: str
) -> None:
    path = written(tmp_path / "captions.txt", content)
    with pytest.raises(DatasetError, match=rf"captions\.txt, line {line}: .*{message}"):
        read_captions(path)


@pytest.mark.parametrize("content", ["", "image,caption\n", "\n\n"])
def test_a_file_without_captions_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DatasetError, match="holds no captions"):
        read_captions(written(tmp_path / "captions.txt", content))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.txt cannot be read"):
        read_captions(tmp_path / "nowhere.txt")


def test_a_split_file_has_a_name_per_line(tmp_path: Path) -> None:
    path = written(tmp_path / "dev.txt", "\ufeffb.jpg\r\n\r\na b.jpg \r\nc.jpg")
    assert read_split(path) == ("b.jpg", "a b.jpg", "c.jpg")


def test_a_name_twice_in_a_split_file_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "dev.txt", "a.jpg\n\nb.jpg\na.jpg\n")
    with pytest.raises(DatasetError, match=r"dev\.txt, line 4: 'a\.jpg' is in line 1 too"):
        read_split(path)


def test_an_empty_split_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"dev\.txt holds no picture names"):
        read_split(written(tmp_path / "dev.txt", "\n"))


def test_pictures_are_found_and_the_rest_is_reported(captions: Path, images: Path) -> None:
    (images / "03.jpg").unlink()
    (images / "05.jpg").unlink()
    written(images / "._06.jpg", b"")
    written(images / "extra.png", b"")
    written(images / "Thumbs.db", b"")
    dataset = Dataset.read(captions, images=images)
    assert dataset.missing_images == ("03.jpg", "05.jpg")
    assert dataset.uncaptioned_images == ("extra.png",)
    assert len(dataset) == 8
    assert dataset.captions["04.jpg"] == ("caption 4 a", "caption 4 b")
    assert list(dataset.captions) == list(dataset.image_paths)
    assert dataset.image_paths["04.jpg"] == images / "04.jpg"
    assert sorted(name for names in dataset.splits.values() for name in names) == sorted(dataset.captions)


def test_pictures_in_sub_folders_and_with_any_ending_are_found(tmp_path: Path) -> None:
    captions = written(tmp_path / "captions.txt", "a/1.jpg,A dog\nb/1.ppm,A cat\n")
    for name in ("a/1.jpg", "b/1.ppm", "b/2.jpg"):
        (tmp_path / "Images" / name).parent.mkdir(parents=True, exist_ok=True)
        written(tmp_path / "Images" / name, b"")
    dataset = Dataset.read(captions, images=tmp_path / "Images")
    assert dataset.image_paths["b/1.ppm"] == tmp_path / "Images" / "b" / "1.ppm"
    assert (dataset.missing_images, dataset.uncaptioned_images) == ((), ("b/2.jpg",))


def test_a_name_cannot_lead_out_of_the_picture_folder(captions: Path, images: Path) -> None:
    written(images.parent / "secret.jpg", b"")
    with captions.open("a") as file:
        file.write("../secret.jpg,A secret\n")
    assert Dataset.read(captions, images=images).missing_images == ("../secret.jpg",)


def test_pictures_outside_the_splits_do_not_count_as_missing(captions: Path, images: Path) -> None:
    for number in range(1, 10):
        (images / f"{number:02}.jpg").unlink()
    split = captions.with_name("split.txt")
    split.write_text("00.jpg\n")
    assert Dataset.read(captions, images=images, train_split=split).splits == {"train": ("00.jpg",)}


def test_half_of_the_pictures_may_be_missing_but_not_more(captions: Path, images: Path) -> None:
    for number in range(5):
        (images / f"{number:02}.jpg").unlink()
    assert len(Dataset.read(captions, images=images)) == 5
    (images / "05.jpg").unlink()
    message = r"6 of the 10 pictures in .*captions\.txt are not in .*Images: 00\.jpg, .*found there: 06\.jpg"
    with pytest.raises(DatasetError, match=message):
        Dataset.read(captions, images=images)


def test_a_picture_folder_that_is_none_is_refused(captions: Path) -> None:
    with pytest.raises(DatasetError, match=r"captions\.txt is not a folder"):
        Dataset.read(captions, images=captions)


def test_the_names_of_a_feature_store_stand_in_for_a_folder(captions: Path) -> None:
    dataset = Dataset.read(captions, names=["02.jpg", "07.jpg", "other.jpg"])
    assert list(dataset.captions) == ["02.jpg", "07.jpg"]
    assert dataset.image_paths == {}
    assert len(dataset.missing_images) == 8
    assert dataset.uncaptioned_images == ("other.jpg",)


def test_a_feature_store_without_any_captioned_picture_is_refused(captions: Path) -> None:
    with pytest.raises(DatasetError, match=r"10 of the 10 .* not among the stored features: .*there: 00,"):
        Dataset.read(captions, names=[f"{number:02}" for number in range(10)])


def test_captions_alone_are_a_dataset(captions: Path) -> None:
    dataset = Dataset.read(captions)
    assert (len(dataset), dataset.image_paths, dataset.missing_images) == (10, {}, ())


def test_split_files_are_followed_in_their_order(captions: Path, images: Path, tmp_path: Path) -> None:
    (images / "04.jpg").unlink()
    train = written(tmp_path / "train.txt", "08.jpg\n04.jpg\n01.jpg\n")
    dev = written(tmp_path / "dev.txt", "02.jpg\n")
    dataset = Dataset.read(captions, images=images, train_split=train, dev_split=dev)
    assert dataset.splits == {"train": ("08.jpg", "01.jpg"), "dev": ("02.jpg",)}
    assert list(dataset.split("train").items()) == [
        ("08.jpg", ("caption 8 a", "caption 8 b")),
        ("01.jpg", ("caption 1 a", "caption 1 b")),
    ]
    assert (len(dataset), dataset.missing_images) == (9, ("04.jpg",))


def test_a_train_split_alone_means_no_dev_split(captions: Path, tmp_path: Path) -> None:
    train = written(tmp_path / "train.txt", "08.jpg\n")
    dataset = Dataset.read(captions, train_split=train)
    assert dataset.splits == {"train": ("08.jpg",)}
    with pytest.raises(DatasetError, match=r"no split 'trian'. Did you mean 'train'\? It has: train\."):
        dataset.split("trian")


def test_split_names_without_captions_are_refused_with_the_first_five(captions: Path, tmp_path: Path) -> None:
    train = written(tmp_path / "train.txt", "01.jpg\n" + "".join(f"x{number}.jpg\n" for number in range(7)))
    with pytest.raises(
        DatasetError, match=r"train\.txt names 7 without captions: x0\.jpg, .*x4\.jpg, \.\.\."
    ):
        Dataset.read(captions, train_split=train)


def test_a_picture_in_two_splits_is_refused(captions: Path, tmp_path: Path) -> None:
    train = written(tmp_path / "train.txt", "01.jpg\n02.jpg\n")
    dev = written(tmp_path / "dev.txt", "03.jpg\n02.jpg\n")
    with pytest.raises(DatasetError, match=r"dev\.txt and .*train\.txt share 1: 02\.jpg"):
        Dataset.read(captions, train_split=train, dev_split=dev)


def test_a_split_none_of_whose_pictures_is_found_is_refused(captions: Path, tmp_path: Path) -> None:
    train = written(tmp_path / "train.txt", "01.jpg\n")
    dev = written(tmp_path / "dev.txt", "02.jpg\n")
    with pytest.raises(DatasetError, match=r"dev\.txt names no picture that was found: 02\.jpg"):
        Dataset.read(captions, names=["01.jpg"], train_split=train, dev_split=dev)


def test_arguments_that_do_not_go_together_are_refused(captions: Path, images: Path) -> None:
    with pytest.raises(UsageError, match="not both"):
        Dataset.read(captions, images=images, names=["01.jpg"])
    with pytest.raises(UsageError, match="needs a train split"):
        Dataset.read(captions, dev_split="dev.txt")
    with pytest.raises(UsageError, match=r"seed .* not -1"):
        Dataset.read(captions, seed=-1)


@pytest.mark.parametrize(
    ("pictures", "sizes"),
    [
        (1, {"train": 1}),
        (2, {"train": 2}),
        (3, {"train": 1, "dev": 1, "test": 1}),
        (10, {"train": 8, "dev": 1, "test": 1}),
        (107, {"train": 85, "dev": 11, "test": 11}),
    ],
)
def test_a_random_split_is_eighty_ten_ten(tmp_path: Path, pictures: int, sizes: dict[str, int]) -> None:
    rows = "".join(f"{number}.jpg,one\n{number}.jpg,two\n" for number in range(pictures))
    dataset = Dataset.read(written(tmp_path / "captions.txt", rows))
    assert {name: len(members) for name, members in dataset.splits.items()} == sizes
    members = [picture for names in dataset.splits.values() for picture in names]
    assert sorted(members) == sorted(dataset.captions)
    for names in dataset.splits.values():
        assert list(names) == [name for name in dataset.captions if name in names]
    assert all(texts == ("one", "two") for name in sizes for texts in dataset.split(name).values())


def test_a_random_split_depends_on_seed_and_pictures_but_not_on_the_order_of_rows(tmp_path: Path) -> None:
    rows = [f"{number}.jpg,a dog\n" for number in range(40)]
    forward = written(tmp_path / "forward.txt", "".join(rows))
    backward = written(tmp_path / "backward.txt", "".join(reversed(rows)))
    first, same, other = (Dataset.read(forward, seed=seed).splits for seed in (1, 1, 2))
    assert first == same
    assert set(first["dev"]) != set(other["dev"])
    turned = Dataset.read(backward, seed=1).splits
    assert {name: set(names) for name, names in turned.items()} == {
        name: set(names) for name, names in first.items()
    }


def test_a_dataset_is_frozen_and_can_be_made_by_hand() -> None:
    dataset = Dataset({"a.jpg": ("a dog",)}, splits={"train": ("a.jpg",)})
    assert dataset.split("train") == {"a.jpg": ("a dog",)}
    with pytest.raises(FrozenInstanceError):
        dataset.captions = {}  # type: ignore[misc]


def test_reading_captions_loads_neither_tensorflow_nor_scikit_learn(captions: Path) -> None:
    program = (
        "import sys; from capframe import Dataset, Vocabulary; from capframe.dataset import read_captions; "
        "read_captions(sys.argv[1]); print(*sorted({'keras', 'sklearn', 'tensorflow'} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, captions], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "\n"


@pytest.mark.skipif(
    "CAPFRAME_FLICKR8K" not in os.environ, reason="CAPFRAME_FLICKR8K names no Flickr8k folder"
)
def test_flickr8k_is_read_whole() -> None:
    folder = Path(os.environ["CAPFRAME_FLICKR8K"])
    captions = read_captions(folder / "captions.txt")
    assert (len(captions), sum(map(len, captions.values()))) == (7091, 35455)
    dataset = Dataset.read(
        folder / "captions.txt",
        images=folder / "Images",
        train_split=folder / "splits" / "train.txt",
        dev_split=folder / "splits" / "dev.txt",
    )
    assert {name: len(pictures) for name, pictures in dataset.splits.items()} == {"train": 6000, "dev": 1000}
    assert (len(dataset), len(dataset.missing_images), dataset.uncaptioned_images) == (7000, 91, ())
    report = dataset.dataset_report
    assert "were not found, and were skipped: 91\n" in report
    assert sum(line.startswith("    ") for line in report.splitlines()) == 91

    rows = (folder / "captions.txt").read_text("utf-8").splitlines()[1:]
    quoted = [row.split(",", 1) for row in rows if ',"' in row and row.endswith('"')]
    assert len(quoted) > 1000
    assert all(text[1:-1].replace('""', '"') in captions[name] for name, text in quoted)
