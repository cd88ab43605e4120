from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capframe.errors import UsageError, VocabularyError
from capframe.vocabulary import END, PAD, SPECIAL_WORDS, START, UNK, Vocabulary, teacher_forcing

ANY_WORD = st.text(min_size=1).filter(lambda text: text.split() == [text])
ORDINARY_WORD = ANY_WORD.filter(lambda word: word not in SPECIAL_WORDS)
TOKEN_LISTS = st.lists(st.lists(st.integers(4, 50), max_size=8), max_size=6)

CAPTIONS = ["a dog runs", "a dog sits", "the dog", "a cat"]


def test_words_come_by_falling_count_and_then_by_alphabet() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, min_count=1)
    assert vocabulary.words == (
        "<pad>",
        "<unk>",
        "<start>",
        "<end>",
        "a",
        "dog",
        "cat",
        "runs",
        "sits",
        "the",
    )
    assert len(vocabulary) == 10
    assert (PAD, UNK, START, END) == (0, 1, 2, 3)


def test_rare_words_are_left_out() -> None:
    assert Vocabulary.build(CAPTIONS, min_count=3).words[4:] == ("a", "dog")


def test_five_occurrences_are_enough_by_default_and_four_are_not() -> None:
    assert Vocabulary.build(["often rare"] * 4 + ["often"]).words[4:] == ("often",)


def test_special_words_in_captions_are_not_added_again() -> None:
    assert Vocabulary.build(["<start> dog <end>", "<pad> <unk>"], min_count=1).words[4:] == ("dog",)


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "é"]), min_size=1), min_size=1).flatmap(
        lambda captions: st.tuples(st.just(captions), st.permutations(captions))
    )
)
def test_the_order_of_captions_does_not_matter(two_orders: tuple[list[list[str]], list[list[str]]]) -> None:
    first, second = ([" ".join(words) for words in captions] for captions in two_orders)
    assert Vocabulary.build(first, min_count=1) == Vocabulary.build(second, min_count=1)


@pytest.mark.parametrize("captions", [[], ["", " "], ["<end>"]])
def test_captions_without_words_are_refused(captions: list[str]) -> None:
    with pytest.raises(VocabularyError, match="hold no words"):
        Vocabulary.build(captions)


def test_a_minimum_count_that_no_word_reaches_is_refused_with_the_highest_that_works() -> None:
    with pytest.raises(VocabularyError, match=r"No word occurs 5 times.*Lower min_count to 3"):
        Vocabulary.build(CAPTIONS)


def test_a_minimum_count_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="min_count must be at least 1, not 0"):
        Vocabulary.build(CAPTIONS, min_count=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [(["dog", "cat", "dog"], "'dog' comes twice"), (["hot dog"], "not a word"), ([""], "not a word")],
)
def test_words_that_a_file_could_not_hold_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        Vocabulary(words)


def test_a_vocabulary_of_its_own_words_is_the_same_vocabulary() -> None:
    vocabulary = Vocabulary(["dog", "cat"])
    same = Vocabulary(vocabulary.words)
    assert same == vocabulary
    assert hash(same) == hash(vocabulary)
    assert vocabulary != Vocabulary(["cat", "dog"])


def test_membership() -> None:
    vocabulary = Vocabulary(["dog"])
    assert "dog" in vocabulary
    assert "<end>" in vocabulary
    assert "cat" not in vocabulary


def test_encoding_marks_unknown_words_and_adds_no_start_or_end() -> None:
    assert Vocabulary(["a", "dog"]).encode("a  purple dog") == [4, 1, 5]


def test_special_words_spelled_out_in_a_caption_are_unknown_words() -> None:
    assert Vocabulary(["dog"]).encode("<pad> <unk> <start> <end> dog") == [1, 1, 1, 1, 4]


def test_decoding_stops_at_the_end_and_skips_start_and_padding() -> None:
    vocabulary = Vocabulary(["a", "dog"])
    assert vocabulary.decode([START, 4, UNK, PAD, 5, END, 4]) == "a <unk> dog"
    assert vocabulary.decode(np.array([4, 5, 0, 0], np.int32)) == "a dog"


@pytest.mark.parametrize("number", [5, -1])
def test_decoding_an_id_that_no_word_has_is_an_error(number: int) -> None:
    with pytest.raises(VocabularyError, match=f"the id {number}: the vocabulary has 5 words"):
        Vocabulary(["dog"]).decode([number])


@given(st.lists(ORDINARY_WORD, unique=True, min_size=1), st.data())
def test_encode_and_decode_are_inverse_on_known_words(words: list[str], data: st.DataObject) -> None:
    vocabulary = Vocabulary(words)
    caption = " ".join(data.draw(st.lists(st.sampled_from(words))))
    assert vocabulary.decode(vocabulary.encode(caption)) == caption


@given(st.sets(ORDINARY_WORD, min_size=1), st.lists(ANY_WORD))
def test_exactly_the_words_left_out_become_unknown(known: set[str], caption: list[str]) -> None:
    ids = Vocabulary(known).encode(" ".join(caption))
    assert [number == UNK for number in ids] == [word not in known for word in caption]


@given(st.lists(st.lists(st.sampled_from(["a", "dog", "unknown", "<end>"])).map(" ".join)))
def test_encoding_all_captions_at_once_is_encoding_each(captions: list[str]) -> None:
    vocabulary = Vocabulary(["a", "dog"])
    tokens, offsets = vocabulary.encode_all(captions)
    assert (str(tokens.dtype), str(offsets.dtype)) == ("int32", "int64")
    assert offsets[-1] == len(tokens)
    each = [tokens[start:stop].tolist() for start, stop in pairwise(offsets)]
    assert each == [vocabulary.encode(caption) for caption in captions]


@given(st.lists(ORDINARY_WORD, unique=True))
@example(["\ufeff", "\x00", "é"])
def test_a_written_vocabulary_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    path = tmp_path_factory.mktemp("run") / "vocabulary.txt"
    Vocabulary(words).write(path)
    assert Vocabulary.read(path).words == (*SPECIAL_WORDS, *words)


def test_a_file_has_a_word_a_line_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    Vocabulary(["old"]).write(path)
    Vocabulary(["dog", "café"]).write(path)
    assert path.read_bytes() == "<pad>\n<unk>\n<start>\n<end>\ndog\ncafé\n".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["vocabulary.txt"]


def test_writing_never_changes_the_old_file_in_place(tmp_path: Path) -> None:
    path, same_file = tmp_path / "vocabulary.txt", tmp_path / "linked.txt"
    Vocabulary(["old"]).write(path)
    same_file.hardlink_to(path)
    Vocabulary(["new"]).write(path)
    assert (Vocabulary.read(path), Vocabulary.read(same_file)) == (Vocabulary(["new"]), Vocabulary(["old"]))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    Vocabulary(["old"]).write(path)
    with pytest.raises(UnicodeEncodeError):
        Vocabulary(["new", "\ud800"]).write(path)
    assert Vocabulary.read(path) == Vocabulary(["old"])
    assert [file.name for file in tmp_path.iterdir()] == ["vocabulary.txt"]


def test_a_file_edited_on_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(b"\xef\xbb\xbf<pad>\r\n<unk>\r\n<start>\r\n<end>\r\ndog")
    assert Vocabulary.read(path) == Vocabulary(["dog"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<pad>\n<unk>\n<start>\n<end>\ndog\n\ncat\n", "line 6: expected one word but found ''"),
        (b"<pad>\n<unk>\n<start>\n<end>\nhot dog\n", "line 5: expected one word but found 'hot dog'"),
        (b"<pad>\n<unk>\n<start>\n<end>\ndog\ncat\ndog\n", "line 7: 'dog' stands in line 5 too"),
        (b"dog\ncat\n", "line 1: expected '<pad>'"),
        (b"<pad>\n<unk>\n<end>\n<start>\n", "line 3: expected '<start>'"),
        (b"<pad>\n<unk>\n", "line 3: expected '<start>'"),
        (b"", "line 1: expected '<pad>'"),
        (b"<pad>\n\xff\n", "not UTF-8"),
    ],
)
def test_a_broken_file_is_refused_with_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(content)
    with pytest.raises(VocabularyError, match=f"vocabulary.txt.*{message}"):
        Vocabulary.read(path)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"vocabulary\.txt cannot be read"):
        Vocabulary.read(tmp_path / "vocabulary.txt")


def test_teacher_forcing_feeds_the_word_before_and_asks_for_the_next() -> None:
    inputs, targets = teacher_forcing([[7, 8, 9], [5], []], max_words=4)
    assert inputs.tolist() == [[2, 7, 8, 9, 0], [2, 5, 0, 0, 0], [2, 0, 0, 0, 0]]
    assert targets.tolist() == [[7, 8, 9, 3, 0], [5, 3, 0, 0, 0], [3, 0, 0, 0, 0]]
    assert (str(inputs.dtype), str(targets.dtype)) == ("int32", "int32")


def test_a_caption_that_is_cut_off_is_not_taught_to_end_there() -> None:
    inputs, targets = teacher_forcing([[7, 8, 9], [7, 8]], max_words=2)
    assert inputs.tolist() == [[2, 7, 8], [2, 7, 8]]
    assert targets.tolist() == [[7, 8, 9], [7, 8, 3]]


@given(TOKEN_LISTS, st.integers(1, 10))
@example([[4] * 8, []], 1)
def test_teacher_forcing_is_one_shifted_padded_sequence(captions: list[list[int]], max_words: int) -> None:
    inputs, targets = teacher_forcing(captions, max_words)
    assert inputs.shape == targets.shape == (len(captions), max_words + 1)
    for caption, given_row, due_row in zip(captions, inputs, targets, strict=True):
        padding = [PAD] * (max_words + 1)
        assert given_row.tolist() == [START, *caption, *padding][: max_words + 1]
        assert due_row.tolist() == [*caption, END, *padding][: max_words + 1]


@given(TOKEN_LISTS, st.integers(1, 10))
def test_more_padding_only_adds_zeros(captions: list[list[int]], extra: int) -> None:
    for short, wide in zip(teacher_forcing(captions, 8), teacher_forcing(captions, 8 + extra), strict=True):
        np.testing.assert_array_equal(wide[:, :9], short)
        assert not wide[:, 9:].any()


def test_teacher_forcing_takes_the_arrays_of_encode_all() -> None:
    vocabulary = Vocabulary(["a", "dog"])
    captions = ["a dog", "", "dog"]
    expected = teacher_forcing([vocabulary.encode(caption) for caption in captions], 3)
    for array, same in zip(teacher_forcing(vocabulary.encode_all(captions), 3), expected, strict=True):
        np.testing.assert_array_equal(array, same)


def test_no_words_at_all_cannot_be_asked_for() -> None:
    with pytest.raises(UsageError, match="max_words must be at least 1, not 0"):
        teacher_forcing([[4]], 0)
