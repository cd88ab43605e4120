"""Caption files that are wrong: each is refused, with the file, the place and the reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from capframe import PluginManager, Registry
from capframe.dataset import read_caption_file
from capframe.errors import DatasetError, OptionError

READERS = ["captions-txt", "coco-captions", "flickr-token", "imagefolder", "karpathy-json", "parquet"]
REGISTRY = Registry(PluginManager(strict=True, disabled={"*"}))

ONE = {"id": 1, "file_name": "a.jpg"}
SAID = {"image_id": 1, "caption": "A dog"}


def coco(images: Any = (ONE,), annotations: Any = (SAID,)) -> bytes:
    return json.dumps({"images": images, "annotations": annotations}).encode()


def karpathy(**image: Any) -> bytes:
    complete = {"filename": "a.jpg", "sentences": [{"raw": "A dog"}], "split": "train"}
    return json.dumps({"images": [complete, {**complete, "filename": "b.jpg", **image}]}).encode()


BAD: dict[str, tuple[str, bytes, str]] = {
    "no comma": ("captions-txt", b"a.jpg,A dog\nb.jpg A cat\n", "line 2: .* no comma in 'b.jpg A cat'"),
    "quote left open": ("captions-txt", b'a.jpg,A\nb.jpg,"A cat\nc.jpg,A cow\n', "line 2: .*quoted=false"),
    "no name": ("captions-txt", b"a.jpg,A dog\n,A cat\n", "line 2: no picture name before .*'A cat'"),
    "more columns": (
        "captions-txt",
        b"id,image,caption\n7,a.jpg,A dog\n",
        "line 1: columns id, image, caption",
    ),
    "Latin-1": (
        "captions-txt",
        b"a.jpg,A dog\r\nb.jpg,Un caf\xe9\n",
        r"line 2: not UTF-8 text \(byte 0xe9\).*dataset_reader.encoding=latin-1",
    ),
    "Latin-1, old Mac": ("captions-txt", b"a.jpg,A dog\rb.jpg,\x8e\r", "line 2: not UTF-8"),
    "UTF-16": ("captions-txt", "image,caption\na.jpg,A dog\n".encode("utf-16"), "line 1: not UTF-8 .*0xff"),
    "no tab": ("flickr-token", b"a.jpg#0\tA dog\na.jpg#1 Two dogs\n", "line 2: .*found 'a.jpg#1 Two dogs'"),
    "no number": ("flickr-token", b"a.jpg#0\tA dog\n\nb.jpg#x\tA cat\n", "line 3: .*'b.jpg#x.tA cat'"),
    "nameless": ("flickr-token", b"a.jpg#0\tA dog\n#1\tA cat\n", "line 2: expected a picture name"),
    "token in Latin-1": ("flickr-token", b"a.jpg#0\tA dog\na.jpg#1\t\xe9t\xe9\n", "line 2: not UTF-8"),
    "cut JSON": ("coco-captions", coco()[:-12], r"line 1, column \d+: not JSON"),
    "JSON bomb": ("coco-captions", b'{"annotations": ' + b"[" * 200_000, "nested too deep"),
    "JSON bomb of objects": ("karpathy-json", b'{"images": ' * 50_000, "nested too deep"),
    "endless number": (
        "coco-captions",
        b'{"annotations": [], "images": [{"id": ' + b"9" * 9999 + b"}]}",
        "JSON",
    ),
    "a list on top": ("coco-captions", b"[]", "expected an object with 'images' but found a list"),
    "no annotations": ("coco-captions", b'{"images": []}', "'annotations' is missing; it has images"),
    "images an object": ("coco-captions", coco({"a.jpg": 1}), "'images' is an object; it must be a list"),
    "an image a number": (
        "coco-captions",
        coco([ONE, 7]),
        r"images\[1\]: expected an object .*a whole number",
    ),
    "file_name a number": (
        "coco-captions",
        coco([{"id": 1, "file_name": 5}]),
        r"images\[0\]: 'file_name' .*'5'",
    ),
    "file_name empty": (
        "coco-captions",
        coco([{"id": 1, "file_name": " "}]),
        r"images\[0\]: 'file_name' is empty",
    ),
    "no id": (
        "coco-captions",
        coco([{"file_name": "a.jpg"}]),
        r"images\[0\]: 'id' is missing; it has file_name",
    ),
    "id true": (
        "coco-captions",
        coco([{**ONE, "id": True}]),
        r"'id' is bool \('True'\); .* whole number or text",
    ),
    "id twice": (
        "coco-captions",
        coco([ONE, {**ONE, "file_name": "b.jpg"}]),
        "id 1 of 'b.jpg' is that of 'a.jpg'",
    ),
    "unknown id": (
        "coco-captions",
        coco((ONE,), [SAID, {**SAID, "image_id": 9}]),
        r"annotations\[1\]: .* is 9",
    ),
    "id in quotes": (
        "coco-captions",
        coco((ONE,), [{**SAID, "image_id": "1"}]),
        r"annotations\[0\]: .* is '1'",
    ),
    "null caption": (
        "coco-captions",
        coco((ONE,), [{**SAID, "caption": None}]),
        "'caption' is null; .* be text",
    ),
    "boxes": ("coco-captions", coco((ONE,), [{"image_id": 1, "bbox": []}]), "'caption' is missing; .*bbox"),
    "half a character": ("coco-captions", coco((ONE,), [{**SAID, "caption": "\ud83d"}]), "half a character"),
    "COCO in Latin-1": ("coco-captions", b'{"images": [],\n "annotations": "\xe9"}', "line 2: not UTF-8"),
    "no filename": (
        "karpathy-json",
        b'{"images": [{"sentences": []}]}',
        r"images\[0\]: 'filename' is missing",
    ),
    "sentences text": (
        "karpathy-json",
        karpathy(sentences="A cat"),
        r"images\[1\]: 'sentences' is text \('A cat'",
    ),
    "no raw": (
        "karpathy-json",
        karpathy(sentences=[{"tokens": []}]),
        r"images\[1\].sentences\[0\]: 'raw' is mis",
    ),
    "odd split": (
        "karpathy-json",
        karpathy(split="trian"),
        r"images\[1\]: the split 'trian' of 'b.jpg' is none",
    ),
    "two splits": (
        "karpathy-json",
        karpathy(filename="a.jpg", split="val"),
        "'a.jpg' is in the splits train and dev",
    ),
    "split a list": (
        "karpathy-json",
        karpathy(split=["val"]),
        r"images\[1\]: 'split' is a list; it must be text",
    ),
    "short row": (
        "imagefolder",
        b'file_name,text\na.jpg,A dog\nb.jpg,"one",two\n',
        "line 3: 3 fields, .* has 2",
    ),
    "no text column": ("imagefolder", b"file_name,label\na.jpg,dog\n", "line 2: .*columns: file_name, label"),
    "two text columns": ("imagefolder", b"file_name,text,caption\na.jpg,x,y\n", "columns caption and text"),
    "a line no JSON": (
        "imagefolder",
        b'{"file_name": "a.jpg", "text": "x"}\n{"file_name"\n',
        "line 2, column 13",
    ),
    "a name a number": ("imagefolder", b'{"file_name": 1, "text": "x"}\n', "line 1: 'file_name' is a whole"),
    "a nameless row": ("imagefolder", b"file_name,text\n,A dog\n", "line 2: 'file_name' is empty"),
    "a caption a number": (
        "imagefolder",
        b'{"file_name": "a.jpg", "text": ["x", 2]}\n',
        "line 1: a caption of 'a.jpg' is a whole number",
    ),
    "Parquet cut": ("parquet", b"PAR1" + bytes(64), "cannot be read as Parquet"),
    "Parquet bare": ("parquet", b"PAR1", "cannot be read as Parquet"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_name_the_place_and_the_reason(tmp_path: Path, case: str) -> None:
    reader, content, message = BAD[case]
    path = tmp_path / "what they sent"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"what they sent.*{message}") as raised:
        read_caption_file(path, reader, REGISTRY)
    assert type(raised.value) is DatasetError
    assert "cannot be read by the dataset reader" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [path]


NO_TEXT = pa.table({"image": ["a.jpg"], "label": [3]})
BAD_TABLES = {
    "no picture column": (pa.table({"caption": ["A dog"]}), "no column image or .*; the columns: caption"),
    "no caption column": (NO_TEXT, "no column caption or captions or text; the columns: image, label"),
    "captions are numbers": (pa.table({"image": ["a.jpg"], "text": [3]}), "row 0: 'text' is a whole number"),
    "a list of numbers": (pa.table({"image": ["a.jpg"], "text": [[3]]}), "row 0: 'text' is a whole number"),
    "names are numbers": (
        pa.table({"image": [7], "text": ["x"]}),
        "row 0: the picture's name is a whole number",
    ),
    "an empty name": (
        pa.table({"image": ["a.jpg", ""], "text": ["x", "y"]}),
        "row 1: the picture's name is text",
    ),
    "no path, no bytes": (pa.table({"image": [{"url": "x"}], "text": ["x"]}), "has the fields url; it needs"),
    "odd split": (
        pa.table({"image": ["a"], "text": ["x"], "split": ["y"]}),
        "row 0: the split 'y' of 'a' is none",
    ),
    "no rows": (
        pa.table({"image": pa.array([], pa.string()), "text": pa.array([], pa.string())}),
        "no captions",
    ),
    "null captions": (pa.table({"image": ["a"], "text": pa.array([None], pa.string())}), "holds no captions"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused_with_its_name_the_row_and_the_reason(tmp_path: Path, case: str) -> None:
    table, message = BAD_TABLES[case]
    parquet.write_table(table, tmp_path / "what they sent")
    with pytest.raises(DatasetError, match=f"what they sent.*{message}"):
        read_caption_file(tmp_path / "what they sent")


def test_a_damaged_table_is_refused_by_name(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    parquet.write_table(pa.table({"image": ["a.jpg"] * 500, "caption": ["A dog"] * 500}), whole)
    content = whole.read_bytes()
    path = tmp_path / "damaged"
    for start in range(4, len(content) - 40, 40):
        path.write_bytes(content[:start] + b"\xff" * 40 + content[start + 40 :])
        try:
            read = read_caption_file(path)
        except DatasetError as error:
            assert "damaged" in str(error)  # noqa: PT017
        else:
            assert set(map(type, read.captions)) == {str}


UNRECOGNISED = {
    "a note": b"Dear all,\nthe captions will follow.\n",
    "a web page": b"<!DOCTYPE html>\n<html><body>404, not found</body></html>\n",
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR,a",
    "other JSON": b'{"vertices": [1, 2, 3]}',
    "other JSON in a list": b'[{"image_id": 1, "score": 2}]',
    "a bomb": b"[" * 100_000,
    "columns split by |": b"image_name| comment_number| comment\na.jpg| 0| Two dogs , one red .\n",
    "zeros": bytes(100),
}


@pytest.mark.parametrize("case", UNRECOGNISED)
def test_what_no_reader_recognises_is_refused_with_the_readers_that_were_tried(
    tmp_path: Path, case: str
) -> None:
    (tmp_path / "sent").write_bytes(UNRECOGNISED[case])
    tried = "tried captions-txt, coco-captions, flickr-token, imagefolder, karpathy-json, parquet"
    with pytest.raises(DatasetError, match=f"sent is of no format .* {tried}.*--dataset-reader NAME"):
        read_caption_file(tmp_path / "sent")


@pytest.mark.parametrize("reader", [None, "coco-captions"])
@pytest.mark.parametrize(
    "content",
    [
        b'[{"image_id": 1, "caption": "A dog"}]',
        b'\xef\xbb\xbf\n[\n  {"caption": "A dog", "image_id": "1"},\n',
    ],
)
def test_a_list_of_coco_results_is_told_from_annotations(
    tmp_path: Path, reader: str | None, content: bytes
) -> None:
    whole = content.endswith(b"]")
    (tmp_path / "results.json").write_bytes(content)
    message = "a list of COCO results. It has ids in place of .*'image,caption'" if whole else ".*not JSON"
    with pytest.raises(DatasetError, match=rf"results\.json.*{message}"):
        read_caption_file(tmp_path / "results.json", reader)


def test_an_empty_folder_is_of_no_format(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"{re.escape(str(tmp_path))} is of no format"):
        read_caption_file(tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_and_a_missing_file_are_refused_by_every_reader(tmp_path: Path, name: str) -> None:
    reader = REGISTRY.create("dataset_reader", name).value
    for path in (tmp_path, tmp_path / "nowhere"):
        assert not reader.recognises(path)
        with pytest.raises(DatasetError, match=re.escape(str(path))):
            reader.read(path)


def test_an_unknown_encoding_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "captions").write_bytes(b"a.jpg,A dog\n")
    with pytest.raises(OptionError, match="no text encoding named 'latin-one'"):
        read_caption_file(tmp_path / "captions", ("captions-txt", {"encoding": "latin-one"}))


PIECES = st.sampled_from(
    [
        *(
            b'{"images": [',
            b'"annotations": [',
            b'"sentences": ',
            b'{"file_name": "',
            b'{"id": 1',
            b'"image_id": 1, ',
        ),
        *(
            b'"caption": "',
            b'"filename": "',
            b"\\ud800",
            b"null",
            b"-1e999",
            b"]",
            b"}",
            b'"',
            b",",
            b": ",
            b"\n",
        ),
        *(b"a.jpg,", b"a.jpg#0\t", b"image,caption\n", b"file_name,text\n", b"PAR1", b"\xff\xfe", b"\0"),
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES | st.binary(max_size=4), max_size=20).map(b"".join))
@example(b'{"images": [], "annotations": [{"image_id": []}]}')
@example(b'{"images": {}, "filename": 1, "sentences": [')
@example(b"file_name")
def test_whatever_the_bytes_are_there_are_captions_or_a_dataset_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("odd") / "captions"
    path.write_bytes(content)
    for reader in (None, *READERS):
        try:
            read = read_caption_file(path, reader, REGISTRY)
        except DatasetError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert "cannot be read by the dataset reader" not in str(error)  # noqa: PT017
        else:
            assert all(type(text) is str for texts in read.captions.values() for text in texts)
