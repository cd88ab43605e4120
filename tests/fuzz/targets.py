"""What is fuzzed: how an input is fed to each reader, and the honest files that inputs are made from."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from capframe import Captioner, FeatureStore, PluginManager, Registry, Vocabulary, run_folder
from capframe.caption_files import read_caption_file
from capframe.feature_parts import FeatureSource, write_part
from capframe.feature_pickle import read_feature_pickle
from capframe.images import read_image
from capframe.trained import Trained

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=9,
)
NUMBERS = (b"\0", b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 8, b"\x80", (2**40).to_bytes(8, "little"))


class Target(NamedTuple):
    """One reader.

    Attributes:
        name: what it is called.
        corpus: honest files.
        words: pieces that the format gives a meaning to.
        feed: reads an input that is put into the folder; gets the damaged file and what was invented.
        invented: strategy of a second input.
    """

    name: str
    corpus: list[bytes]
    words: list[bytes]
    feed: Callable[[Path, bytes, Any], object]
    invented: st.SearchStrategy[Any] = st.none()


def captions() -> Target:
    """Caption files of every format, the reader chosen by their content or by name."""
    registry = Registry(PluginManager(strict=True, disabled={"*"}))
    rows = [("a.jpg", "A dog, brown"), ("b.jpg", 'A "cat"'), ("b.jpg", "Zwei Kühe\nim Gras")]
    images = [{"id": number, "file_name": name} for number, (name, _) in enumerate(rows)]
    said = [{"id": number, "image_id": number, "caption": text} for number, (_, text) in enumerate(rows)]
    split = [{"filename": name, "split": "train", "sentences": [{"raw": text}]} for name, text in rows]
    table = io.BytesIO()
    parquet.write_table(pa.table({"image": [r[0] for r in rows], "caption": [r[1] for r in rows]}), table)
    texts = [
        "image,caption\n" + "".join(f'{name},"{text}"\n' for name, text in rows),
        "".join(f"{name}#{number}\t{text}\n" for number, (name, text) in enumerate(rows[:2])),
        json.dumps({"images": images, "annotations": said}),
        json.dumps({"images": split, "dataset": "x"}),
        json.dumps(said),
    ]

    def feed(folder: Path, content: bytes, reader: str | None) -> None:
        (folder / "captions").write_bytes(content)
        read_caption_file(folder / "captions", reader, registry)

    return Target(
        "captions",
        [*(text.encode() for text in texts), table.getvalue()],
        [
            b",",
            b'"',
            b"\n",
            b"\r",
            b"\t",
            b"#",
            b"[",
            b"{",
            b"}",
            b"null",
            b"1e999",
            b"\xef\xbb\xbf",
            *NUMBERS,
        ],
        feed,
        st.sampled_from([None, None, *registry.names("dataset_reader")]),
    )


def feature_pickle() -> Target:
    """Pickled features of every protocol."""
    features = {"a.jpg": np.arange(3, dtype=np.float32), "ü": np.ones((1, 3), np.float16)}
    opcodes = [
        b"cos\nsystem\n",
        b"X\x02\0\0\0hi",
        b"\x85R",
        b"h\0",
        b"q\0",
        b"(",
        b"}",
        b"u",
        b"s",
        b"b",
        b"t.",
    ]

    def feed(folder: Path, content: bytes, _: None) -> None:
        (folder / "f.pkl").write_bytes(content)
        read_feature_pickle(folder / "f.pkl")

    corpus = [pickle.dumps(features, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    return Target("pickle", corpus, [*opcodes, *NUMBERS], feed)


def store() -> Target:
    """Parts of a feature store."""
    with tempfile.TemporaryDirectory() as folder:
        rows = np.ones((2, 3), np.float32)
        part = write_part(Path(folder), FeatureSource("x", {"a": 1}, (3,)), ["a.jpg", "b.jpg"], rows)
        honest = part.read_bytes()

    def feed(folder: Path, content: bytes, _: None) -> None:
        (folder / "part-0.arrow").write_bytes(content)
        opened = FeatureStore(folder)
        opened.gather(opened.names)

    return Target(
        "store", [honest], [b"ARROW1", b'"format": 1', b'"float16"', b"[3]", b"[0]", *NUMBERS], feed
    )


def pictures() -> Target:
    """Picture files of every kind."""
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("JPEG", "RGB", {}),
        ("JPEG", "CMYK", {"progressive": True}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "I;16", {}),
        ("PNG", "P", {"transparency": 3}),
        ("GIF", "P", {}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGB", {}),
        ("TIFF", "I;16", {}),
        *(("TIFF", "RGB", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg")),
        ("TIFF", "1", {"compression": "group4"}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
    ]
    corpus = []
    for kind, mode, options in kinds:
        exif = Image.Exif()
        exif[0x0112] = 6
        notes = {} if kind in ("GIF", "BMP") else {"exif": exif}
        noise = Image.effect_noise((20, 14), 90)
        picture = Image.fromarray(np.asarray(noise).astype(np.uint16) * 257) if mode == "I;16" else noise
        buffer = io.BytesIO()
        (picture if mode == "I;16" else picture.convert(mode)).save(buffer, kind, **notes, **options)
        corpus.append(buffer.getvalue())

    def feed(folder: Path, content: bytes, _: None) -> None:
        (folder / "picture").write_bytes(content)
        read_image(folder / "picture", (8, 8))

    return Target("pictures", corpus, [b"\xff\xd9", b"IDAT", b"Exif", b"II*\0", b"MM\0*", *NUMBERS], feed)


def run() -> Target:
    """Run folders: a file that is damaged, and a configuration with any JSON in one place."""
    registry = Registry(PluginManager(strict=True, disabled={"*"}))
    home = Path(tempfile.mkdtemp(prefix="capframe-fuzz-run-")) / "run"
    captioner = Captioner(
        ("imported", {"feature_shape": [3]}),
        decoder=("add-merge", {"units": 2, "embedding_size": 2}),
        registry=registry,
    )
    vocabulary = Vocabulary(["a", "dog"])
    model = captioner.composition.decoder.value.build((3,), len(vocabulary))
    source = FeatureSource("imported", {"feature_shape": [3]}, (3,))
    trained = Trained(model, vocabulary, source, [{"epoch": 1.0, "loss": 2.0}], frozenset({"0" * 16}))
    with run_folder.new_run_folder(home) as working:
        trained.write(working, captioner.composition)
    names = sorted(path.name for path in home.iterdir())
    contents = {name: (home / name).read_bytes() for name in names}
    shutil.rmtree(home.parent)
    config = json.loads(contents[run_folder.CONFIG])

    def feed(folder: Path, content: bytes, invented: tuple[int, int, Any] | None) -> None:
        for name in names:
            (folder / name).write_bytes(contents[name])
        if invented is None:
            # The file that the damaged one was made from is the one that it begins or ends like.
            like = [name for name in names if contents[name][:6] == content[:6]]
            (folder / (like or [run_folder.VOCABULARY])[0]).write_bytes(content)
        else:
            changed = json.loads(json.dumps(config))
            _replace(changed, *invented)
            (folder / run_folder.CONFIG).write_text(json.dumps(changed))
        Captioner.load(folder, registry=registry)

    words = [
        b'{"',
        b'"name": ',
        b'"options": {}',
        b"null",
        b"[",
        b"1e999",
        b"<pad>\n",
        b"\n",
        b"PK\3\4",
        *NUMBERS,
    ]
    places = st.none() | st.tuples(st.integers(0, 10**6), st.integers(0, 3), JSON)
    return Target("run", list(contents.values()), words, feed, places)


def _replace(value: Any, path: int, depth: int, new: Any) -> None:
    """Replace one value inside ``value``: which one, the digits of ``path`` say."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    path, chosen = divmod(path, len(keys))
    inside = value[keys[chosen]]
    if depth and isinstance(inside, (dict, list)) and inside:
        _replace(inside, path, depth - 1, new)
    else:
        value[keys[chosen]] = new


TARGETS: dict[str, Callable[[], Target]] = {
    "captions": captions,
    "pickle": feature_pickle,
    "store": store,
    "pictures": pictures,
    "run": run,
}
