"""Names in mapped files are found and listed as a dict and a tuple would do it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capframe import name_table, stored_names
from capframe.caption_table import CaptionTable
from capframe.dataset import Dataset
from capframe.errors import CapframeError
from capframe.features import FeatureSource, FeatureStore
from capframe.name_table import ChosenNames, NamedValues, NameTable
from capframe.scratch_files import ScratchArray, moved, pieces

# Any characters, with those that are no text of their own, as in names of files that are not UTF-8.
NAMES = st.lists(st.text(st.characters(exclude_categories=[]), max_size=4), max_size=20)


@pytest.fixture(params=[1, 3, 20_000], ids=lambda most: f"{most}_in_memory")
def most_in_memory(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(autouse=True)
def _most_in_memory(monkeypatch: pytest.MonkeyPatch, most_in_memory: int) -> None:
    monkeypatch.setattr(name_table, "_MOST_IN_MEMORY", most_in_memory)
    monkeypatch.setattr(name_table, "_AT_ONCE", 2)


@given(NAMES, NAMES)
def test_names_are_numbered_found_and_ordered_as_a_dict_and_sorted_do(
    names: list[str], others: list[str]
) -> None:
    expected = {name: number for number, name in enumerate(dict.fromkeys(names))}
    table = NameTable()
    assert table.extend(names).tolist() == [expected[name] for name in names]
    assert (list(table), len(table)) == (list(expected), len(expected))
    assert list(reversed(table)) == list(reversed(expected))
    assert table.numbers([*others, *names]).tolist() == [expected.get(name, -1) for name in [*others, *names]]
    assert [name in table for name in others] == [name in expected for name in others]
    assert [table[number] for number in table.in_order().tolist()] == sorted(expected)
    assert list(pickle.loads(pickle.dumps(table))) == list(expected)


def test_a_table_goes_on_growing_after_it_was_read() -> None:
    table = NameTable(["b", "a", "c", "d"])
    some = ChosenNames(table, np.array([3, 0]))
    assert table.in_order().tolist() == [1, 0, 2, 3]
    assert table.extend(["a", "0", "b", "e"]).tolist() == [1, 4, 0, 5]
    assert table.in_order().tolist() == [4, 1, 0, 2, 3, 5]
    assert some == ("d", "b")
    assert 5 not in table  # nothing but text is a name


def test_names_of_the_same_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_names, "hash", len, raising=False)
    table = NameTable(["aa", "b", "cc", "", "dd", "e", "ff"])
    assert table.numbers(["ff", "aa", "cc", "b", "e", "", "dd"]).tolist() == [6, 0, 2, 1, 5, 3, 4]
    assert table.numbers(["xx", "y", "zzz"]).tolist() == [-1, -1, -1]


def test_chosen_names_are_as_a_tuple_of_them() -> None:
    names = ChosenNames(NameTable("abcdef"), np.array([4, 1, 5, 0, 1]))
    expected = ("e", "b", "f", "a", "b")
    assert (tuple(names), len(names), hash(names)) == (expected, 5, hash(expected))
    assert names == expected
    assert names == list(expected)
    assert {"train": names} == {"train": expected}
    assert names not in (expected[:4], ("e", "b", "f", "a", "c"), "ebfab", None)
    assert (names[0], names[-1], names[1:4], names[::-2]) == ("e", "b", ("b", "f", "a"), ("b", "f", "e"))
    assert ("f" in names, "c" in names, "x" in names, 1 in names) == (True, False, False, False)
    assert (names + ("x",), ("x",) + names, names + names) == (  # noqa: RUF005 - the sums are what is tested
        (*expected, "x"),
        ("x", *expected),
        (*expected, *expected),
    )
    assert repr(names) == repr(expected)
    assert pickle.loads(pickle.dumps(names)) == expected
    with pytest.raises(IndexError):
        names[5]
    assert not ChosenNames(NameTable(), np.arange(0))


def test_named_values_are_made_when_they_are_asked_for() -> None:
    asked: list[str] = []
    values = NamedValues(NameTable(["b", "a", "c"]), lambda name: asked.append(name) or name.upper())
    assert (list(values), len(values), "a" in values, "x" in values) == (["b", "a", "c"], 3, True, False)
    assert asked == []
    assert values == {"a": "A", "b": "B", "c": "C"}
    with pytest.raises(KeyError, match="x"):
        values["x"]
    assert asked == ["b", "a", "c"]


def test_scratch_arrays_hold_what_was_appended_and_outlive_their_file() -> None:
    numbers = ScratchArray(np.int32, [3])
    first = numbers.mapped()
    numbers.append([1, 2])
    both = numbers.mapped()
    del numbers
    assert (first.tolist(), both.tolist(), both.dtype) == ([3], [3, 1, 2], np.int32)
    assert moved([], np.int64).shape == (0,)
    assert moved(np.arange(6)[::2]).tolist() == [0, 2, 4]
    assert list(pieces("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]


FORKED = """
import os
from capframe import name_table
from capframe.scratch_files import ScratchArray
name_table._MOST_IN_MEMORY = 3
table = name_table.NameTable("abc")
numbers = ScratchArray("int32", [1, 2, 3])
child = os.fork()
table.extend(["child 1", "child 2", "child 3"] if child == 0 else ["d", "e", "f"])
if child:
    os.waitpid(child, 0)
    table.extend(["g", "h", "i"])
numbers.append([4 if child else 5])
print(list(table), [table.number(name) for name in table], numbers.mapped())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
def test_after_a_fork_each_process_has_names_of_its_own() -> None:
    ran = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True)
    childs, parents = ran.stdout.splitlines()
    assert childs == "['a', 'b', 'c', 'child 1', 'child 2', 'child 3'] [0, 1, 2, 3, 4, 5] [1 2 3 5]"
    assert parents == f"{list('abcdefghi')} {list(range(9))} [1 2 3 4]"


def test_where_no_scratch_file_can_be_written_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(CapframeError, match=r"No space left on device.*TMPDIR"):
        ScratchArray(np.int32)


def test_a_name_that_is_not_here_has_no_text() -> None:
    table = NameTable(["a", "b"])
    with pytest.raises(IndexError):
        table[table.number("c")]


def test_a_dataset_is_the_same_wherever_its_names_lie(tmp_path: Path) -> None:
    path, train = tmp_path / "captions.txt", tmp_path / "train.txt"
    path.write_text("".join(f"{number}.jpg,caption {number}\n" for number in (5, 3, 9, 1, 7, 0, 2, 8, 4, 6)))
    train.write_text("3.jpg\n1.JPG\n8.jpg\n")
    dataset = Dataset.read(
        path, names=["1.jpg", "8.jpg", "x.jpg", "4.JPG", "3.jpg", "a.jpg"], train_split=train
    )
    assert list(dataset.captions.items()) == [
        ("3.jpg", ("caption 3",)),
        ("1.jpg", ("caption 1",)),
        ("8.jpg", ("caption 8",)),
        ("4.JPG", ("caption 4",)),
    ]
    assert dataset.splits == {"train": ("3.jpg", "1.jpg", "8.jpg")}
    assert dataset.missing_images == ("5.jpg", "9.jpg", "7.jpg", "0.jpg", "2.jpg", "6.jpg")
    assert dataset.uncaptioned_images == ("a.jpg", "x.jpg")
    assert dataset.respelt_images == {"4.jpg": "4.JPG"}
    # What scikit-learn makes of the sorted names, in the order of the file.
    assert Dataset.read(path, seed=1).splits == {
        "train": ("5.jpg", "3.jpg", "1.jpg", "7.jpg", "0.jpg", "8.jpg", "4.jpg", "6.jpg"),
        "dev": ("9.jpg",),
        "test": ("2.jpg",),
    }


def test_captions_are_the_same_wherever_their_names_lie() -> None:
    table = CaptionTable([("b", ["1"]), ("a", ["2", "3"]), ("b", ["4"]), ("c", []), ("d", ["5"])])
    assert list(table.items()) == [("b", ("1", "4")), ("a", ("2", "3")), ("c", ()), ("d", ("5",))]
    some = table.chosen(np.array([1, 3]), NameTable(["A", "D"]))
    assert list(some.chosen(np.array([1]), NameTable(["d"])).items()) == [("d", ("5",))]


def test_a_store_finds_the_first_row_of_a_picture_wherever_its_names_lie(tmp_path: Path) -> None:
    source = FeatureSource("numbers", {}, (1,), "")
    ours, theirs = FeatureStore.create(tmp_path, source), FeatureStore.create(tmp_path, source)
    for number, (store, names) in enumerate([(ours, "abc"), (theirs, "bdac"), (ours, "ef"), (theirs, "gf")]):
        store.add(list(names), np.arange(len(names), dtype=np.float32)[:, None] + 10 * number)
    store = FeatureStore(tmp_path)
    assert (store.names, list(store)) == (list("abcdefg"), list("abcdefg"))
    assert store.positions("gfedcba").tolist() == [9, 8, 7, 4, 2, 1, 0]
    assert store.gather("gfedcba")[:, 0].tolist() == [30, 21, 20, 11, 2, 1, 0]
    assert [(name, row.tolist()) for name, row in store.rows()][3:5] == [("d", [11.0]), ("e", [20.0])]
