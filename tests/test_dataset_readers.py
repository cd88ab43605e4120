"""Dataset readers: the one that recognises a file reads it; names, encodings and pictures as they come."""

from __future__ import annotations

import pickle
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from capframe import PluginManager, Registry
from capframe.dataset import Dataset, read_caption_file, read_captions
from capframe.errors import DatasetError, OptionError, UnknownComponentError, UsageError
from capframe.image_names import match_names
from capframe.interfaces import CaptionedImages
from capframe.testing import check_dataset_reader
from capframe.text_files import read_start

READERS = ["captions-txt", "coco-captions", "flickr-token", "imagefolder", "karpathy-json", "parquet"]
STARS = {"stars/1.png": ("Two stars, both red", "Red stars")}


def write_example(folder: Path, reader: Any) -> Path:
    example, path = reader.example, folder / "example"
    if isinstance(example, bytes):
        path.write_bytes(example)
    else:
        path.mkdir()
        for name, content in example.items():
            (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("name", READERS)
def test_the_default_readers_keep_the_laws_of_their_kind(registry: Registry, name: str) -> None:
    check_dataset_reader(registry.factory("dataset_reader", name))


@pytest.mark.parametrize("name", READERS)
def test_a_file_is_recognised_by_its_own_reader_and_no_other(
    registry: Registry, tmp_path: Path, name: str
) -> None:
    readers = {other: registry.create("dataset_reader", other).value for other in READERS}
    path = write_example(tmp_path, readers[name])
    assert [other for other, reader in readers.items() if reader.recognises(path)] == [name]
    assert read_captions(path, registry=registry) == read_captions(path, name, registry) == STARS


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"1000268201_693b08cb0e,A child\n", "captions-txt"),
        (b"my dog.jpeg,A dog\n", "captions-txt"),
        (b"\n\nname,caption\nthe dog,A dog\n", "captions-txt"),
        ("\ufeffname,Caption\r\n".encode("utf-16"), "captions-txt"),
        (b"[1].jpg,A dog\n", "captions-txt"),
        (b"\r\n\xef\xbb\xbf.jpg#2\t\xe9\r\n", "flickr-token"),
        (b"a,b.jpg#0\tA dog, running\n", "flickr-token"),
        (b"IMG_1,2.jpg#0\tA dog, running\n", "flickr-token"),
        (b"image,caption\nIMG_1.jpg,A dog#1\tand another\n", "captions-txt"),
        (b'\n{"text": "A dog\xe2\x80\xa8", "file_name": "a.jpg"}\n{"file', "imagefolder"),
        (b'"text","file_name"\n', "imagefolder"),
        (b"file_name,caption\na.jpg,A dog\n", "imagefolder"),
        (b'{"info":1,"images":[],"annotations":[{"image_id":2}]}', "coco-captions"),
        (b'\xef\xbb\xbf {"images": [], "annotations": [{"image_id" : 1', "coco-captions"),
        (b'{"images": [{"sentids": [0], "sentences" : [], "filename":', "karpathy-json"),
    ],
)
def test_the_first_words_of_a_file_tell_its_reader(
    registry: Registry, tmp_path: Path, content: bytes, name: str
) -> None:
    (tmp_path / "captions").write_bytes(content)
    readers = {other: registry.create("dataset_reader", other).value for other in READERS}
    assert [n for n, reader in readers.items() if reader.recognises(tmp_path / "captions")] == [name]


def test_latin_1_is_read_with_the_option_that_the_refusal_names(tmp_path: Path) -> None:
    for name, content in {
        "captions-txt": "a.jpg,Un café\n",
        "flickr-token": "a.jpg#0\tUn café\n",
        "imagefolder": "file_name,text\na.jpg,Un café\n",
    }.items():
        path = tmp_path / name
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(DatasetError, match=r"--set dataset_reader.encoding=latin-1"):
            read_captions(path)
        assert read_captions(path, (name, {"encoding": "latin-1"})) == {"a.jpg": ("Un café",)}


def test_utf_16_is_read_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "captions").write_bytes("image,caption\r\na.jpg,Un café\r\n".encode("utf-16"))
    read = read_captions(tmp_path / "captions", ("captions-txt", {"encoding": "utf-16"}))
    assert read == {"a.jpg": ("Un café",)}


def test_a_byte_order_mark_and_line_ends_leave_no_trace_in_lines(tmp_path: Path) -> None:
    (tmp_path / "captions").write_bytes(
        "\ufeffa.jpg#0\tA dog \r\n\r\na.jpg#1\t\tTwo\x85dogs\ra.jpg#0\t".encode()
    )
    assert read_captions(tmp_path / "captions") == {"a.jpg": ("A dog ", "\tTwo\x85dogs", "")}


class Shouting:
    """Reads any file whose name it likes: one picture, one caption.

    Args:
        word: the caption.
    """

    def __init__(self, word: str = "HEY") -> None:
        self.word = word

    def recognises(self, path: Path) -> bool:
        return path.read_bytes().endswith(b"!")

    def read(self, path: Path) -> CaptionedImages:
        return CaptionedImages({"a.jpg": (self.word,)})


class Broken(Shouting):
    """Fails, whatever it is asked."""

    def recognises(self, path: Path) -> bool:
        raise RuntimeError("no luck")

    def read(self, path: Path) -> CaptionedImages:
        raise KeyError("image")


@pytest.fixture
def offering_reader(offering: Callable[..., SimpleNamespace]) -> Callable[..., Registry]:
    """Return a function that makes a registry in which a plugin offers dataset readers."""

    def make(**readers: Any) -> Registry:
        manager = PluginManager(strict=True, disabled={"*"})
        manager.register(offering(register_dataset_readers=readers), "further")
        return Registry(manager)

    return make


def test_the_reader_of_a_plugin_is_found_by_content_too(
    tmp_path: Path, offering_reader: Callable[..., Registry]
) -> None:
    (tmp_path / "captions").write_bytes(b"hey you!")
    registry = offering_reader(shouting=Shouting, broken=Broken)
    assert read_captions(tmp_path / "captions", registry=registry) == {"a.jpg": ("HEY",)}
    loud = ("shouting", {"word": "LOUD"})
    assert Dataset.read(tmp_path / "captions", reader=loud, registry=registry).captions["a.jpg"] == ("LOUD",)


def test_two_readers_that_recognise_a_file_are_both_named(
    tmp_path: Path, offering_reader: Callable[..., Registry]
) -> None:
    (tmp_path / "captions").write_bytes(b"a.jpg,A dog!")
    registry = offering_reader(shouting=Shouting)
    with pytest.raises(DatasetError, match=r"several dataset readers: captions-txt and shouting. Choose one"):
        read_captions(tmp_path / "captions", registry=registry)
    assert read_captions(tmp_path / "captions", "captions-txt", registry) == {"a.jpg": ("A dog!",)}


def test_a_reader_that_fails_is_named_where_no_other_recognises_the_file(
    tmp_path: Path, offering_reader: Callable[..., Registry]
) -> None:
    (tmp_path / "captions").write_bytes(b"word")
    registry = offering_reader(broken=Broken)
    with pytest.raises(
        DatasetError, match=r"tried broken, captions-txt, .*The reader 'broken' failed: no luck"
    ):
        read_captions(tmp_path / "captions", registry=registry)
    with pytest.raises(DatasetError, match=r"captions cannot be read by .* 'broken': KeyError: 'image'"):
        read_captions(tmp_path / "captions", "broken", registry)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (CaptionedImages({}), "captions holds no captions"),
        (CaptionedImages({"\ud800.jpg": ("A dog",)}), "no text"),
        (CaptionedImages({"a.jpg": (7,)}), "'a.jpg' are no text"),  # type: ignore[dict-item]
        (CaptionedImages({"a.jpg": "A dog"}), "'a.jpg' are no text .*tuple"),  # type: ignore[dict-item]
        (CaptionedImages({"a.jpg": ("A dog",)}, {"train": ("b.jpg",)}), "a split has 'b.jpg'"),
        ({"a.jpg": ("A dog",)}, "captions cannot be read by the dataset reader"),
    ],
)
def test_what_a_reader_returns_is_checked(tmp_path: Path, found: Any, message: str) -> None:
    (tmp_path / "captions").write_bytes(b"")
    reader = SimpleNamespace(recognises=lambda path: True, read=lambda path: found)
    with pytest.raises(DatasetError, match=message):
        read_caption_file(tmp_path / "captions", reader)


def test_a_reader_that_does_not_exist_or_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "captions").write_bytes(b"a.jpg,A dog\n")
    with pytest.raises(
        UnknownComponentError, match=r"No dataset reader is named 'captions-text'. Did you mean"
    ):
        read_captions(tmp_path / "captions", "captions-text")
    with pytest.raises(OptionError, match="no option 'sep'"):
        read_captions(tmp_path / "captions", ("captions-txt", {"sep": ";"}))
    with pytest.raises(UsageError, match=r"lacks recognises, read"):
        read_captions(tmp_path / "captions", 7)
    with pytest.raises(UsageError, match="is a class"):
        read_captions(tmp_path / "captions", Shouting)


def test_names_that_differ_in_form_ending_or_slashes_find_their_pictures(tmp_path: Path) -> None:
    on_disk = [unicodedata.normalize("NFD", "Été à Genève.jpg"), "IMG 1.JPG", "a/b.Png", "c.jpg", "C.jpg"]
    for name in on_disk:
        (tmp_path / "Images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "Images" / name).write_bytes(b"")
    written = [unicodedata.normalize("NFC", on_disk[0]), "IMG 1.jpg", "./a\\b.png", "c.jpg", "d.jpg"]
    (tmp_path / "captions").write_text("".join(f"{name},Of {name}\n" for name in written), "utf-8")
    (tmp_path / "train.txt").write_text("\n".join([written[0], "IMG 1.JPG", "d.jpg"]), "utf-8")
    dataset = Dataset.read(
        tmp_path / "captions", images=tmp_path / "Images", train_split=tmp_path / "train.txt"
    )
    assert list(dataset.captions) == on_disk[:4]
    assert dataset.captions["IMG 1.JPG"] == ("Of IMG 1.jpg",)
    assert dataset.image_paths["a/b.Png"] == tmp_path / "Images" / "a" / "b.Png"
    assert dataset.splits == {"train": (on_disk[0], "IMG 1.JPG")}
    assert (dataset.missing_images, dataset.uncaptioned_images) == (("d.jpg",), ("C.jpg",))
    assert dataset.respelt_images == dict(zip(written[:3], on_disk[:3], strict=True))

    stored = Dataset.read(tmp_path / "captions", names=on_disk)
    assert (stored.captions, stored.image_paths) == (dataset.captions, {})


def test_a_name_that_could_be_two_pictures_is_missing() -> None:
    assert match_names(["a.jpg"], ["a.JPG", "a.Jpg"]) == {}
    assert match_names(["a.jpg", "a.Jpg"], ["a.JPG"]) == {}
    assert match_names(["a.jpg", "a.JPG"], ["a.JPG"]) == {"a.JPG": "a.JPG"}


@given(
    st.lists(st.text(st.sampled_from("aAé\u0301./\\"), max_size=4)),
    st.lists(st.text("aAé\u0301./\\", max_size=4)),
)
def test_each_picture_is_found_at_most_once_and_first_by_its_exact_name(
    wanted: list[str], found: list[str]
) -> None:
    matched = match_names(wanted, found)
    assert len(set(matched.values())) == len(matched)
    assert set(matched) <= set(wanted)
    assert set(matched.values()) <= set(found)
    assert {name: name for name in {*wanted} & {*found}}.items() <= matched.items()
    assert list(matched) == [name for name in dict.fromkeys(wanted) if name in matched]


def test_the_report_counts_and_lists_what_was_left_out_and_holds_no_captions(tmp_path: Path) -> None:
    images = tmp_path / "Images"
    images.mkdir()
    for name in ("a.jpg", "b.JPG", "odd\nname.jpg"):
        (images / name).write_bytes(b"")
    (tmp_path / "captions").write_text(
        "a.jpg,Red dog\na.jpg,Red dog\nb.jpg,Red dog\ngone Ä.jpg,Red dog\n", "utf-8"
    )
    dataset = Dataset.read(tmp_path / "captions", images=images)
    assert dataset.dataset_report == (
        "pictures: 2\n"
        "captions: 3, 1 of them the same as an earlier one of their picture (kept)\n"
        "splits: train 2\n"
        "captioned pictures that were not found, and were skipped: 1\n"
        "    gone Ä.jpg\n"
        "pictures without a caption, which were skipped: 1\n"
        '    "odd\\nname.jpg"\n'
        "pictures whose file is spelt otherwise than in the caption file: 1\n"
        "    b.jpg -> b.JPG\n"
    )


def test_an_imagefolder_may_have_a_metadata_file_for_each_split(tmp_path: Path) -> None:
    for folder, name in {"train": "0.png", "validation": "0.png", "test": "deep/0.png"}.items():
        (tmp_path / folder / name).parent.mkdir(parents=True)
        (tmp_path / folder / name).write_bytes(b"")
        (tmp_path / folder / "metadata.csv").write_text(f"file_name,text\n{name},In {folder}\n")
    (tmp_path / "test" / "1.png").write_bytes(b"")
    dataset = Dataset.read(tmp_path)
    assert dataset.splits == {
        "train": ("train/0.png",),
        "dev": ("validation/0.png",),
        "test": ("test/deep/0.png",),
    }
    assert dataset.captions["validation/0.png"] == ("In validation",)
    assert dataset.image_paths["test/deep/0.png"] == tmp_path / "test" / "deep" / "0.png"
    assert dataset.uncaptioned_images == ("test/1.png",)


def test_an_imagefolder_without_its_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,one\nb.png,two\nc.png,three\n")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"2 of the 3 pictures .* are not in .*: b\.png, c\.png"):
        Dataset.read(tmp_path)


def test_columns_of_other_names_are_chosen_by_options(tmp_path: Path) -> None:
    parquet.write_table(
        pa.table({"photo": ["a.jpg"], "said": ["A dog"], "caption": ["x"]}), tmp_path / "table"
    )
    columns = {"image_column": "photo", "caption_column": "said"}
    assert read_captions(tmp_path / "table", ("parquet", columns)) == {"a.jpg": ("A dog",)}
    with pytest.raises(DatasetError, match="no column foto; the columns: photo, said, caption"):
        read_captions(tmp_path / "table", ("parquet", {"image_column": "foto"}))
    (tmp_path / "rows").write_text('{"file_name": "a.jpg", "prompt": "A dog"}\n')
    assert read_captions(tmp_path / "rows", ("imagefolder", {"caption_column": "prompt"})) == {
        "a.jpg": ("A dog",)
    }


def table_of_bytes(path: Path) -> Path:
    pictures = [
        {"bytes": b"one", "path": "a.jpg"},
        {"bytes": None, "path": "b.jpg"},
        {"bytes": b"3", "path": None},
    ]
    captions = [["A dog", "Dog"], ["A cat"], None]
    parquet.write_table(pa.table({"image": pictures, "caption": captions}), path, row_group_size=2)
    return path


def test_pictures_stay_in_a_parquet_file_until_they_are_looked_at(tmp_path: Path) -> None:
    read = read_caption_file(table_of_bytes(tmp_path / "table"))
    assert read.captions == {"a.jpg": ("A dog", "Dog"), "b.jpg": ("A cat",)}
    assert list(read.images) == ["a.jpg", "b.jpg", "2"]
    images: dict[str, Any] = dict(pickle.loads(pickle.dumps(read.images)))
    assert (images["2"].read_bytes(), images["a.jpg"].read_bytes()) == (b"3", b"one")
    with pytest.raises(OSError, match="table, row 1 holds no picture"):
        images["b.jpg"].read_bytes()
    (tmp_path / "table").unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickle.dumps(images["a.jpg"])).read_bytes()


def test_a_parquet_column_without_any_bytes_gives_names_alone(tmp_path: Path) -> None:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    pictures = pa.array([{"bytes": None, "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}], kind)
    parquet.write_table(pa.table({"image": pictures, "caption": ["A dog", "A cat"]}), tmp_path / "table")
    read = read_caption_file(tmp_path / "table")
    assert (list(read.captions), read.images) == (["a.jpg", "b.jpg"], {})


def test_a_picture_folder_wins_over_the_pictures_that_a_file_brings(tmp_path: Path) -> None:
    (tmp_path / "Images").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "Images" / name).write_bytes(b"")
    dataset = Dataset.read(table_of_bytes(tmp_path / "table"), images=tmp_path / "Images")
    assert dataset.image_paths["a.jpg"] == tmp_path / "Images" / "a.jpg"


def test_stored_features_count_beside_the_pictures_that_a_file_brings(tmp_path: Path) -> None:
    path = table_of_bytes(tmp_path / "table")
    dataset = Dataset.read(path, names=["b.jpg", "x.jpg"])
    assert list(dataset.captions) == ["a.jpg", "b.jpg"]
    assert dataset.uncaptioned_images == ("2", "x.jpg")


def test_the_start_of_a_file_is_text_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbfa\xff" + b"x" * 100_000)
    assert read_start(path)[:3] == "a\ufffdx"
    assert len(read_start(path)) < 70_000
    path.write_bytes(b"a\0b")
    assert read_start(path) == read_start(tmp_path) == read_start(tmp_path / "nowhere") == ""
