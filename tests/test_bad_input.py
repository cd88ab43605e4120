"""Every kind of bad input: an error of one exact class, a message with the bad name, and no leftovers."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from PIL import Image
from pyarrow import parquet

from capframe import Captioner, FeatureStore
from capframe.cli import main
from capframe.cli.unreadable import Unreadable
from capframe.errors import DatasetError, FeatureStoreError, ImageError, RunFolderError, VocabularyError
from capframe.feature_exchange import import_features
from capframe.feature_parts import FeatureSource, write_part
from capframe.images import read_image

SOURCE = FeatureSource("mean-colour", {}, (3,))


class Bad(NamedTuple):
    """One kind of bad input.

    Attributes:
        name: the file or folder that is bad; its message must hold it.
        make: makes it, under the path that it is given.
        error: the exact class of the error.
        reason: a part of the message.
    """

    name: str
    make: Callable[[Path], object]
    error: type[Exception]
    reason: str


def picture(kind: str, size: tuple[int, int] = (60, 40), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 90).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def cut(content: bytes, part: float = 0.5) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content[: int(len(content) * part)])


def holding(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png_bomb() -> bytes:
    """Return a PNG of 40,000 x 40,000 pixels in two hundred bytes."""
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )  # fmt: skip


def integers() -> bytes:
    """Return a TIFF with a level beyond 16 bits."""
    buffer = io.BytesIO()
    Image.new("I", (9, 9), 10**6).save(buffer, "TIFF")
    return buffer.getvalue()


PNG = picture("PNG")

PICTURES = {
    "empty": Bad("empty.jpg", holding(b""), ImageError, "the file is empty"),
    "text": Bad("notes.jpg", holding(b"buy milk\n" * 99), ImageError, "not a picture"),
    "HTML, as servers send in place of a picture": Bad(
        "page.png", holding(b"<!DOCTYPE html><title>404"), ImageError, "not a picture"
    ),
    "SVG": Bad("drawing.png", holding(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ImageError, "not a"),
    "zip": Bad("album.jpg", holding(b"PK\x03\x04" + bytes(60)), ImageError, "not a picture"),
    "JPEG that was cut": Bad("half.jpg", cut(picture("JPEG")), ImageError, "truncated"),
    "JPEG that is only a beginning": Bad(
        "start.jpg", cut(picture("JPEG"), 0.02), ImageError, "Truncated|truncated|decoded"
    ),
    "PNG that was cut": Bad("half.png", cut(PNG), ImageError, "cannot be decoded"),
    "PNG with a bit turned": Bad(
        "flipped.png", holding(PNG[:50] + bytes([PNG[50] ^ 1]) + PNG[51:]), ImageError, "cannot be decoded"
    ),
    "GIF that was cut": Bad("half.gif", cut(picture("GIF", mode="P"), 0.9), ImageError, "cannot be decoded"),
    "BMP that was cut": Bad("half.bmp", cut(picture("BMP")), ImageError, "truncated"),
    "TIFF that was cut": Bad("half.tif", cut(picture("TIFF")), ImageError, "truncated"),
    "TIFF without its directory": Bad(
        "start.tif", cut(picture("TIFF"), 0.01), ImageError, "begins as TIFF, and is cut off"
    ),
    "TIFF of 32-bit integers": Bad(
        "heights.tif", holding(integers()), ImageError, "integers of unknown range"
    ),
    "WebP that was cut": Bad("half.webp", cut(picture("WEBP")), ImageError, "half.webp"),
    "TIFF of floats": Bad("depth.tif", holding(picture("TIFF", mode="F")), ImageError, "pixels are floats"),
    "HEIC that was cut": Bad(
        "photo.heic",
        holding(b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heicmiaf"),
        ImageError,
        "photo.heic",
    ),
    "decompression bomb": Bad("bomb.png", holding(png_bomb()), ImageError, "decompression bomb"),
    "folder": Bad("folder.jpg", lambda path: path.mkdir(), ImageError, "directory|denied"),
    "missing": Bad("missing.jpg", lambda path: None, ImageError, "No such file"),
}


def one_shard_of_two(folder: Path) -> None:
    folder.mkdir()
    rows = pa.table({"image": ["1.png"], "caption": ["A dog"]})
    parquet.write_table(rows, folder / "train-00000-of-00002.parquet")


CAPTION_FILES = {
    "empty": Bad("captions.txt", holding(b""), DatasetError, "it is empty"),
    "a header alone": Bad("captions.txt", holding(b"image,caption\n"), DatasetError, "captions.txt"),
    "no comma": Bad("captions.txt", holding(b"image,caption\n1.png a dog\n"), DatasetError, "1.png a dog"),
    "a quote left open": Bad("c.csv", holding(b'image,caption\n1.png,"a dog\n'), DatasetError, "c.csv"),
    "Latin-1": Bad("c.txt", holding(b"image,caption\n1.png,caf\xe9\n"), DatasetError, "c.txt, line 2"),
    "a list of COCO results": Bad(
        "results.json",
        holding(b'[{"image_id": 1, "caption": "A dog"}]'),
        DatasetError,
        "a list of COCO results",
    ),
    "half of a table": Bad("table", one_shard_of_two, DatasetError, "number 1 is missing"),
    "a picture": Bad(
        "captions.png", holding(PNG), DatasetError, "no format that a dataset reader recognises"
    ),
    "broken JSON": Bad(
        "captions.json", holding(b'{"images": [1, "annotations": '), DatasetError, "captions.json"
    ),
    "the captions of other pictures": Bad(
        "other.txt", holding(b"image,caption\nx.png,a dog\ny.png,a cat\n"), DatasetError, "x.png"
    ),
}


def store(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return what makes a store of one part, and then does ``change`` to that part."""

    def make(path: Path) -> None:
        change(write_part(path, SOURCE, ["a.jpg", "b.jpg"], np.ones((2, 3), np.float32)))

    return make


def arrow(schema: pa.Schema, columns: list[pa.Array], description: object = None) -> Callable[[Path], object]:
    """Return what makes a store of one part with any schema, columns and description."""
    described = {"format": 1, "dtype": "float32", **SOURCE.to_json()} if description is None else description
    text = described if isinstance(described, bytes) else json.dumps(described).encode()

    def make(path: Path) -> None:
        path.mkdir()
        whole = schema.with_metadata({b"capframe.features": text})
        with pa.ipc.new_file(str(path / "part-0.arrow"), whole) as writer:
            writer.write_batch(pa.record_batch(columns, schema=whole))

    return make


ROWS = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(3, np.float32)), 3)
SCHEMA = pa.schema([("image", pa.string()), ("features", ROWS.type)])
NAMED = [pa.array(["a.jpg"]), ROWS]


def wild_offsets(path: Path) -> None:
    """Make a part whose name claims to reach far beyond the file."""
    rows = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(6, np.float32)), 3)
    arrow(SCHEMA, [pa.array(["first", "second"]), rows])(path)
    part = path / "part-0.arrow"
    offsets, wild = struct.pack("<iii", 0, 5, 11), struct.pack("<iii", 0, 5, 2**30)
    content = part.read_bytes()
    assert content.count(offsets) == 1
    part.write_bytes(content.replace(offsets, wild))


def another_source(path: Path) -> None:
    write_part(path, SOURCE, ["a.jpg"], np.ones((1, 3), np.float32))
    write_part(path, FeatureSource("vgg16", {}, (3,)), ["b.jpg"], np.ones((1, 3), np.float32))


STORES = {
    "no folder": Bad("store", lambda path: None, FeatureStoreError, "no feature store in"),
    "an empty folder": Bad("store", lambda path: path.mkdir(), FeatureStoreError, "no feature store in"),
    "a file": Bad("store", holding(b"features"), FeatureStoreError, "no feature store in"),
    "an empty part": Bad(
        "part-", store(lambda part: part.write_bytes(b"")), FeatureStoreError, "not a whole part"
    ),
    "a part that was cut": Bad(
        "part-",
        store(lambda part: part.write_bytes(part.read_bytes()[:-40])),
        FeatureStoreError,
        "not a whole",
    ),
    "a part of zeros": Bad(
        "part-", store(lambda part: part.write_bytes(bytes(900))), FeatureStoreError, "not a whole"
    ),
    "a part of text": Bad(
        "part-", store(lambda part: part.write_text("x" * 99)), FeatureStoreError, "not a whole"
    ),
    "a folder for a part": Bad(
        "part-", store(lambda part: (part.unlink(), part.mkdir())), FeatureStoreError, "not a whole part"
    ),
    "no description": Bad("part-0", arrow(SCHEMA, NAMED, b""), FeatureStoreError, "not a whole part"),
    "a description that is nested too deeply": Bad(
        "part-0", arrow(SCHEMA, NAMED, b"[" * 100_000), FeatureStoreError, "not a whole part"
    ),
    "a description that lacks the extractor": Bad(
        "part-0", arrow(SCHEMA, NAMED, {"format": 1, "dtype": "float32"}), FeatureStoreError, "feature_shape"
    ),
    "a later format": Bad(
        "part-0", arrow(SCHEMA, NAMED, {"format": 7}), FeatureStoreError, "has the format 7"
    ),
    "another number of features": Bad(
        "part-0",
        arrow(SCHEMA, NAMED, {"format": 1, "dtype": "float32", **SOURCE.to_json(), "feature_shape": [4]}),
        FeatureStoreError,
        "its columns are",
    ),
    "a shape of 10^18 numbers": Bad(
        "part-0",
        arrow(
            SCHEMA, NAMED, {"format": 1, "dtype": "float32", **SOURCE.to_json(), "feature_shape": [10**9] * 2}
        ),
        FeatureStoreError,
        "part-0",
    ),
    "numbers of another type": Bad(
        "part-0",
        arrow(SCHEMA, NAMED, {"format": 1, "dtype": "object", **SOURCE.to_json()}),
        FeatureStoreError,
        "'object'",
    ),
    "names that are numbers": Bad(
        "part-0",
        arrow(pa.schema([("image", pa.int64()), ("features", ROWS.type)]), [pa.array([1]), ROWS]),
        FeatureStoreError,
        "its columns are",
    ),
    "a name that is null": Bad(
        "part-0", arrow(SCHEMA, [pa.array([None], pa.string()), ROWS]), FeatureStoreError, "nulls"
    ),
    "a name that reaches beyond the file": Bad("part-0", wild_offsets, FeatureStoreError, "not a whole part"),
    "parts of two extractors": Bad("part-", another_source, FeatureStoreError, r"vgg16\(\)"),
}


def pickled(value: object, protocol: int = 4) -> Callable[[Path], object]:
    return holding(pickle.dumps(value, protocol))


ONES = np.ones(3, np.float32)

PICKLES = {
    "empty": Bad("f.pkl", holding(b""), FeatureStoreError, "it is empty"),
    "missing": Bad("f.pkl", lambda path: None, FeatureStoreError, "No such file"),
    "folder": Bad("f.pkl", lambda path: path.mkdir(), FeatureStoreError, "directory|denied"),
    "text": Bad("f.pkl", holding(b"image,feature\n"), FeatureStoreError, "no pickle at all"),
    "NumPy's own format": Bad(
        "f.npy", lambda path: np.save(path, ONES), FeatureStoreError, "no pickle at all"
    ),
    "cut": Bad("f.pkl", cut(pickle.dumps({"a": ONES, "b": ONES})), FeatureStoreError, "damaged"),
    "an empty dict": Bad("f.pkl", pickled({}), FeatureStoreError, "its dict is empty"),
    "a list": Bad("f.pkl", pickled([ONES]), FeatureStoreError, "EMPTY_LIST"),
    "an array alone": Bad("f.pkl", pickled(ONES), FeatureStoreError, "not a dict of arrays"),
    "keys that are numbers": Bad("f.pkl", pickled({7: ONES}), FeatureStoreError, "no string but int"),
    "values that are text": Bad(
        "f.pkl", pickled({"a": "x"}), FeatureStoreError, "under 'a' .* no array but str"
    ),
    "arrays of objects": Bad("f.pkl", pickled({"a": np.array([{}])}), FeatureStoreError, "'O8'"),
    "arrays of two shapes": Bad("f.pkl", pickled({"a": ONES, "b": np.ones(4)}), FeatureStoreError, "'b'"),
    "numbers that are not finite": Bad("f.pkl", pickled({"a": ONES * np.nan}), FeatureStoreError, "'a'"),
    "numbers beyond float32": Bad("f.pkl", pickled({"big": np.full(3, 1e99)}), FeatureStoreError, "'big'"),
    "a class": Bad("f.pkl", pickled({"a": Path("x")}), FeatureStoreError, "asks for 'pathlib"),
}


def configured(**changes: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def file(name: str, content: bytes | None) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)

    return change


def swapped_words(folder: Path) -> None:
    (folder / "vocabulary.txt").write_text("<pad>\n<unk>\n<start>\n<end>\na\n")


RUNS = {
    "no such folder": Bad("run", shutil.rmtree, RunFolderError, "is not a run folder"),
    "no configuration": Bad("run", file("config.json", None), RunFolderError, "has no config.json"),
    "an empty configuration": Bad("config.json", file("config.json", b""), RunFolderError, "is damaged"),
    "a configuration that was cut": Bad(
        "config.json", file("config.json", b'{"format": 1, '), RunFolderError, "damaged"
    ),
    "a configuration that is no text": Bad(
        "config.json", file("config.json", PNG), RunFolderError, "is damaged"
    ),
    "a configuration that is a list": Bad(
        "config.json", file("config.json", b"[1]"), RunFolderError, "is damaged"
    ),
    "a later format": Bad(
        "config.json", configured(format=99), RunFolderError, "has format 99.*Update capframe"
    ),
    "a decoder that is a number": Bad("config.json", configured(decoder=7), RunFolderError, "'decoder'"),
    "no shape of the features": Bad("config.json", configured(features={}), RunFolderError, "feature_shape"),
    "no vocabulary": Bad("vocabulary.txt", file("vocabulary.txt", None), VocabularyError, "cannot be read"),
    "a vocabulary that is no text": Bad(
        "vocabulary.txt", file("vocabulary.txt", PNG), VocabularyError, "not UTF-8"
    ),
    "a word twice": Bad(
        "vocabulary.txt",
        file("vocabulary.txt", b"<pad>\n<unk>\n<start>\n<end>\na\na\nruns\n"),
        VocabularyError,
        "line 6: 'a' stands in line 5 too",
    ),
    "the vocabulary of another run": Bad(
        "best_model.keras", swapped_words, RunFolderError, "vocabulary.txt beside it"
    ),
    "no model": Bad(
        "best_model.keras", file("best_model.keras", None), RunFolderError, "has no best_model.keras"
    ),
    "an empty model": Bad(
        "best_model.keras", file("best_model.keras", b""), RunFolderError, "cannot be loaded"
    ),
    "a model that is a picture": Bad(
        "best_model.keras", file("best_model.keras", PNG), RunFolderError, "not a zip"
    ),
    "no history": Bad("history.csv", file("history.csv", None), RunFolderError, "cannot be read"),
    "a history of words": Bad(
        "history.csv", file("history.csv", b"loss\nlow\n"), RunFolderError, "could not convert"
    ),
    "a history in one endless field": Bad(
        "history.csv",
        file("history.csv", b"loss\n" + b"1" * 200_000 + b"\n"),
        RunFolderError,
        "cannot be read",
    ),
    "no list of training pictures": Bad(
        "training_images.txt", file("training_images.txt", None), RunFolderError, "cannot be read"
    ),
}


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def refused(folder: Path, bad: Bad, act: Callable[[Path], object]) -> None:
    """Assert the exact class and the name in the message, and that acting leaves the folder as it was."""
    path = folder / bad.name
    before = tree(folder)
    with pytest.raises(bad.error, match=bad.reason) as caught:
        act(path)
    assert type(caught.value) is bad.error
    assert bad.name in str(caught.value)
    assert tree(folder) == before


@pytest.mark.parametrize("kind", PICTURES)
def test_a_bad_picture_is_refused(tmp_path, kind):
    bad = PICTURES[kind]
    bad.make(tmp_path / bad.name)
    refused(tmp_path, bad, lambda path: read_image(path, (8, 8)))


@pytest.mark.parametrize("kind", PICKLES)
def test_a_bad_pickle_is_refused(tmp_path, kind):
    bad = PICKLES[kind]
    bad.make(tmp_path / bad.name)
    refused(tmp_path, bad, lambda path: import_features(path, tmp_path / "store"))


@pytest.mark.parametrize("kind", STORES)
def test_a_bad_store_is_refused(tmp_path, kind):
    bad = STORES[kind]
    bad.make(tmp_path / "store")
    refused(tmp_path, bad, lambda _: FeatureStore(tmp_path / "store"))


@pytest.mark.parametrize("kind", RUNS)
def test_a_bad_run_folder_is_refused(tmp_path, honest_run, registry, kind):
    shutil.copytree(honest_run, tmp_path / "run")
    RUNS[kind].make(tmp_path / "run")
    refused(tmp_path, RUNS[kind], lambda _: Captioner.load(tmp_path / "run", registry=registry))


@pytest.mark.parametrize("kind", CAPTION_FILES)
def test_a_bad_caption_file_is_refused_before_training_leaves_anything(tmp_path, registry, kind):
    bad = CAPTION_FILES[kind]
    bad.make(tmp_path / bad.name)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(PNG)
    arguments = [
        "--debug",
        "train",
        "--captions",
        str(tmp_path / bad.name),
        "--images",
        str(tmp_path / "images"),
    ]

    def train(_: Path) -> None:
        done = CliRunner().invoke(
            main,
            [*arguments, "--out", str(tmp_path / "run"), "--feature-extractor", "quarter-colours"],
            obj=registry,
        )
        assert done.exception is not None
        raise done.exception

    refused(tmp_path, bad, train)


def test_the_tables_hold_at_least_forty_kinds():
    assert sum(map(len, (PICTURES, PICKLES, STORES, RUNS, CAPTION_FILES))) >= 40


def test_bad_pictures_among_good_ones_are_reported_by_name_and_skipped(tmp_path, registry):
    images = tmp_path / "images"
    images.mkdir()
    for bad in PICTURES.values():
        bad.make(images / bad.name)
    (images / "good.png").write_bytes(PNG)
    present = {path.name for path in images.iterdir() if path.is_file()} - {"good.png"}

    done = CliRunner().invoke(
        main,
        [
            "extract",
            "--images",
            str(images),
            "--out",
            str(tmp_path / "store"),
            "--feature-extractor",
            "quarter-colours",
        ],
        obj=registry,
    )

    assert done.exit_code == 0, done.output
    assert FeatureStore(tmp_path / "store").names == ["good.png"]
    assert f"{len(present)} of {len(present) + 1} pictures cannot be read" in done.stderr
    told = re.findall(r"Warning: Cannot read the picture '(.+)': \S", done.stderr)
    assert {Path(name).name for name in told} == present


def test_on_a_terminal_the_first_bad_pictures_are_named_and_the_others_counted(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    unreadable = Unreadable()
    for number in range(7):
        unreadable(f"{number}.png", ImageError(f"Cannot read {number}.png"))
    unreadable.report(9)

    lines = capsys.readouterr().err.splitlines()
    assert lines[:5] == [f"Warning: Cannot read {number}.png" for number in range(5)]
    assert lines[5:] == [
        "Warning: 7 of 9 pictures cannot be read and were left out. The first 5 are named above; with "
        "2> FILE all are."
    ]


def test_a_picture_whose_name_is_no_text_costs_no_other_its_features(tmp_path, registry):
    images = tmp_path / "images"
    images.mkdir()
    (images / "good.png").write_bytes(PNG)
    try:
        Path(os.fsdecode(os.path.join(os.fsencode(images), b"caf\xe9.png"))).write_bytes(PNG)
    except OSError:
        pytest.skip("this disk takes no such names")
    arguments = ["--images", str(images), "--feature-extractor", "quarter-colours"]

    done = CliRunner().invoke(main, ["extract", *arguments, "--out", str(tmp_path / "store")], obj=registry)

    assert done.exit_code == 0, done.output
    assert FeatureStore(tmp_path / "store").names == ["good.png"]
    assert r"caf\udce9.png': its name is not UTF-8 text" in done.stderr


@pytest.mark.parametrize("kind", [kind for kind in PICTURES if kind not in ("folder", "missing")])
def test_a_single_bad_picture_fails_the_command_with_its_reason(tmp_path, honest_run, registry, kind):
    bad = PICTURES[kind]
    bad.make(tmp_path / bad.name)

    done = CliRunner().invoke(
        main,
        [
            "caption",
            str(tmp_path / bad.name),
            "--run",
            str(honest_run),
            "--out",
            str(tmp_path / "captions.csv"),
        ],
        obj=registry,
    )

    assert done.exit_code == 1
    assert f"Cannot read the picture '{tmp_path / bad.name}': " in done.stderr
    assert re.search(bad.reason, done.stderr)
    assert tree(tmp_path) == {bad.name}
