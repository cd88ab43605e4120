"""Captions in mapped files are as a dict would hold them."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capframe.batches import CaptionBatches
from capframe.caption_table import CaptionTable
from capframe.errors import DatasetError
from capframe.name_table import NameTable
from capframe.text_files import read_lines
from capframe.vocabulary import Vocabulary

ROWS = st.lists(st.tuples(st.text(max_size=3), st.lists(st.text(max_size=5), max_size=3)), max_size=12)


@given(ROWS)
def test_a_table_holds_what_a_dict_of_the_same_rows_holds(rows: list[tuple[str, list[str]]]) -> None:
    expected: dict[str, tuple[str, ...]] = {}
    for name, texts in rows:
        expected[name] = (*expected.get(name, ()), *texts)
    table = CaptionTable(rows)
    assert table == expected
    assert list(table.items()) == list(expected.items())
    assert pickle.loads(pickle.dumps(table)) == expected


def test_captions_of_a_picture_need_not_follow_each_other() -> None:
    table = CaptionTable([("a", ["1", ""]), ("b", ["2"]), ("a", ["3"]), ("c", [])])
    assert dict(table) == {"a": ("1", "", "3"), "b": ("2",), "c": ()}
    assert "d" not in table
    with pytest.raises(KeyError):
        table["d"]


def test_renamed_pictures_keep_their_captions_and_order() -> None:
    table = CaptionTable([("a", ["1"]), ("b", ["2"]), ("c", ["3", "4"])])
    assert list(table.chosen(np.array([0, 2]), NameTable(["A", "C"])).items()) == [
        ("A", ("1",)),
        ("C", ("3", "4")),
    ]
    assert list(table) == ["a", "b", "c"]


def test_captions_are_encoded_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = Vocabulary(["a", "b"])
    monkeypatch.setattr("capframe.vocabulary._ENCODED_AT_ONCE", 2)
    tokens, offsets = vocabulary.encode_all(["a b", "", "b", "c a a", "a"])
    assert tokens.tolist() == [4, 5, 5, 1, 4, 4, 4]
    assert offsets.tolist() == [0, 2, 2, 3, 6, 7]


def test_a_seed_gives_the_batches_that_it_always_gave() -> None:
    texts = [[f"w{(7 * picture + number) % 11} w{number}" for number in range(3)] for picture in range(9)]
    vocabulary = Vocabulary.build((text for own in texts for text in own), min_count=1)
    batches = CaptionBatches(
        CaptionTable((str(number), own) for number, own in enumerate(texts)).values(),
        vocabulary,
        lambda pictures: pictures[:, None].astype(np.float32),
        batch_size=4,
        seed=3,
        views=2,
    )
    digest = hashlib.sha256()
    for batch in batches.epoch(5):
        for values in batch:
            digest.update(np.ascontiguousarray(values).tobytes())
    assert digest.hexdigest()[:16] == "6b8db434fc4c5a16"


def test_a_wrong_byte_far_into_a_file_is_found_by_its_line(tmp_path) -> None:
    path = tmp_path / "captions.txt"
    path.write_bytes(b"\xef\xbb\xbfa\n" * 1 + b"b\n" * 9_998 + b"\xff\n")
    lines = read_lines(path, "utf-8")
    assert next(lines) == "a\n"
    with pytest.raises(DatasetError, match="line 10000: not UTF-8 text"):
        list(lines)
