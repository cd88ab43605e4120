from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capframe.default_plugins.text_cleaners import RegexCleaner, register_text_cleaners
from capframe.errors import OptionError

CLEAN = RegexCleaner()


@pytest.mark.parametrize(
    ("caption", "clean"),
    [
        ("A dog runs .", "a dog runs"),
        ("a black-and-white cat", "a black and white cat"),
        ("The dog's ball isn’t redʼs!", "the dogs ball isnt reds"),
        ("  two\tdogs\n  run ", "two dogs run"),
        ('He said "go" , #5', "he said go 5"),
        ("snake_case", "snake case"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_cleans_english_captions(caption: str, clean: str) -> None:
    assert CLEAN(caption) == clean


@pytest.mark.parametrize(
    ("caption", "clean"),
    [
        ("Un CAFÉ à Málaga", "un café à málaga"),
        ("cafe\u0301s", "cafés"),
        ("İstanbul", "i\u0307stanbul"),
        ("एक कुत्ता, पानी में।", "एक कुत्ता पानी में"),
        ("犬が、走る。", "犬が 走る"),
        ("won\u00adderful", "wonderful"),
        ("aʼ\u0301 ʼ\u0301b", "a b"),
        ("a ❤\ufe0f dog \u0301 1\ufe0f\u20e3", "a dog 1"),
    ],
)
def test_no_accent_vowel_sign_or_soft_hyphen_cuts_a_word(caption: str, clean: str) -> None:
    assert CLEAN(caption) == clean


def test_words_of_one_letter_stay() -> None:
    assert CLEAN("I see a T") == "i see a t"


def test_case_stays_on_request() -> None:
    assert RegexCleaner(lowercase=False)("A Dog's Day") == "A Dogs Day"


def test_pattern_and_replacement_are_options() -> None:
    assert RegexCleaner(pattern="[^a-z' ]")("The dog's t-shirt 5") == "the dog's t shirt"
    assert RegexCleaner(pattern=r"[^\w\s]", replacement="")("t-shirt, x_y") == "tshirt x_y"
    assert RegexCleaner(pattern=r"\d+", replacement="<number>")("12 dogs") == "<number> dogs"


def test_apostrophes_and_accents_leave_nothing_whatever_the_pattern() -> None:
    assert RegexCleaner(pattern="[^a-z ]", replacement=" x ")("n\u0308a’b, c") == "nab x c"


def test_a_pattern_meets_letters_and_accents_in_one_piece() -> None:
    assert RegexCleaner(pattern="[^a-z\u00e9 ]")("Cafe\u0301!") == "caf\u00e9"


def test_an_invalid_pattern_is_refused() -> None:
    with pytest.raises(OptionError, match=r"pattern='\(' .*'regex'"):
        RegexCleaner(pattern="(")


@pytest.mark.parametrize(("pattern", "replacement"), [(None, "UNK"), ("[^a-z ]", "<x>")])
def test_a_replacement_that_a_second_cleaning_would_change_is_refused(
    pattern: str | None, replacement: str
) -> None:
    with pytest.raises(OptionError, match="would itself be cleaned"):
        RegexCleaner(pattern, replacement)


@given(st.text())
@example("İSTANBUL ŒUVRE ß ŉ ǰ")
@example("\u1100'\u1161")
@example("eʼ\u0301")
@example("e_\u0301 e\ufe0f\u0301")
@example("ΌΣΟΣ Α'Σ.")
def test_cleaning_is_idempotent(caption: str) -> None:
    once = CLEAN(caption)
    assert CLEAN(once) == once


@given(
    st.text(), st.sampled_from(["[^a-z0-9 ]", r"[^\w\s]", r"\W+", r"[^a-z' ]+"]), st.sampled_from(["", " "])
)
def test_cleaning_with_other_patterns_is_idempotent(caption: str, pattern: str, replacement: str) -> None:
    clean = RegexCleaner(pattern, replacement)
    once = clean(caption)
    assert clean(once) == once


@given(st.text())
def test_clean_captions_are_words_between_single_spaces(caption: str) -> None:
    clean = CLEAN(caption)
    assert clean == " ".join(clean.split())
    for word in clean.split():
        assert {unicodedata.category(character)[0] for character in word} <= {"L", "N", "M"}
        assert unicodedata.category(word[0])[0] != "M"


def test_the_cleaner_is_offered_as_regex() -> None:
    assert register_text_cleaners() == {"regex": RegexCleaner}
