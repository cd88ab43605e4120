from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capframe.errors import ScoringError
from capframe.tokens import TOKEN_RULES, tokenize

# The toolkit's list also has -LRB- and the like, in capitals, which its lower-cased tokens never match.
JAR = "stanford-corenlp-3.4.1.jar"
REMOVED_BY_THE_TOOLKIT = {"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"}

# Captions of many kinds, written for this test, each with what the rules make of it.
PTB = {
    "A Dog runs .": "a dog runs",
    "A girl's t-shirt isn't red.": "a girl 's t-shirt is n't red",
    "They’re gonna say they can't, won't and cannot!": "they 're gon na say they ca n't wo n't and can not",
    "I'd've sworn we'll lemme gimme wanna gotta": "i 'd 've sworn we 'll lem me gim me wan na got ta",
    "a 5-year-old boy and his mother-in-law": "a 5-year-old boy and his mother-in-law",
    "a dog -- wet - and - dog---cat--bird": "a dog wet and dog cat bird",
    "C'mon, li'l ol' nor'easter, ma'am and Hawai'i e'er": "c'mon li'l ol' nor'easter ma'am and hawai'i e'er",
    "Mr. Smith and Dr. Jones on St. Mark's Ave. in the U.S.": (
        "mr. smith and dr. jones on st. mark 's ave. in the u.s."
    ),
    "the dog sat on the mat. The cat ran.": "the dog sat on the mat the cat ran",
    "at 5p.m. or 3 p.m. or 10:30am, no. 5 said no. Yes.": "at 5p m. or 3 p.m. or 10:30 am no. 5 said no yes",
    "1,000 people, 3/4 full, $5.00 or 50% off": "1,000 people 3/4 full $ 5.00 or 50 % off",
    "the 1990s, the '90s, 90's, 2nd and #7": "the 1990s the '90s 90 's 2nd and # 7",
    "a sign says \"Stop\", 'Slow' and “Don’t Walk”": "a sign says stop slow and do n't walk",
    "dogs' bowls, the men's, James' bike": "dogs bowls the men 's james bike",
    "wait... and wait … and .. go": "wait and wait and go",
    "a man (left) [right] {top}": "a man -lrb- left -rrb- -lsb- right -rsb- -lcb- top -rcb-",
    "salt & pepper, AT&T, R&B, black&white, Q&amp;A": "salt & pepper at&t r&b black & white q&a",
    "and/or black/white w/ a dog / cat": "and/or black/white w / a dog / cat",
    "see http://example.com/a?b=c or www.example.com.": "see http://example.com/a?b=c or www.example.com",
    "a @home #tag <b>bold</b> <unk>": "a @home #tag <b> bold </b> <unk>",
    "Café in Zürich, 東京 and Москва": "café in zürich 東京 and москва",
    "a dog\U0001f600 and a ★ cat ❤️": "a dog and a ★ cat ❤",
    "½ of a 3½ inch, 5° and £5 or €7": "1/2 of a 3 1/2 inch 5 ° and # 5 or $ 7",
    "rock 'n' roll, slip'n slide, o'clock, O'Neil, y'all, 'em": (
        "rock 'n' roll slip 'n slide o'clock o'neil y' all 'em"
    ),
    "Really?! What?? Yes!!! No?": "really ?! what ?? yes !!! no",
    "a smile :) and ;-) and man: dog": "a smile :-rrb- and ;--rrb- and man dog",
    "stop., lbs., and a 3.5-inch x-ray": "stop. lbs. and a 3.5-inch x-ray",
    "a_b * ** + = ~ ^ | \\ a.b a!b a;b a,b": "a_b * ** + = ~ ^ | \\ a.b a!b a b a b",
    "a letter P. The dog, a letter Q. with a cat. A bird": "a letter p the dog a letter q. with a cat a bird",
    "startseq a dog endseq": "startseq a dog endseq",
    "a\u00a0dog,\ta cat": "a dog a cat",
    "": "",
    " . ": "",
    "'Tis the 3D man, 6' 2\" tall": "'t is the 3d man 6 2 tall",
}


@pytest.mark.parametrize(("caption", "expected"), PTB.items())
def test_ptb_gives_the_tokens_of_the_coco_toolkit(caption: str, expected: str) -> None:
    assert tokenize(caption, "ptb") == expected.split()


def test_ptb_agrees_with_the_java_tokenizer(tmp_path: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("the COCO toolkit's tokenizer needs java, which is not installed")
    package = find_spec("pycocoevalcap.tokenizer")
    if package is None or package.submodule_search_locations is None:
        pytest.skip("the tokenizer's archive comes with pycocoevalcap, which is not installed")
    captions = tmp_path / "captions.txt"
    # Java keeps a line a caption: a tab, as any control character, is a space on both sides.
    captions.write_text("".join(caption.replace("\t", " ") + "\n" for caption in PTB), encoding="utf-8")
    tokenizer = ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", str(captions)]
    jar = str(Path(package.submodule_search_locations[0]) / JAR)
    command = ["java", "-Dfile.encoding=UTF-8", "-cp", jar, *tokenizer]
    output = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    java = [
        " ".join(token for token in line.split(" ") if token not in REMOVED_BY_THE_TOOLKIT).split()
        for line in output.split("\n")[:-1]
    ]
    assert java == [tokenize(caption, "ptb") for caption in PTB]


def test_karpathy_keeps_letters_and_digits_only() -> None:
    assert tokenize("A girl's T-shirt_2, café & 1,000!", "karpathy") == (
        ["a", "girl", "s", "t", "shirt", "2", "café", "1", "000"]
    )


@pytest.mark.parametrize("rules", TOKEN_RULES)
@pytest.mark.parametrize("separator", ["\n", "\r\n", "\t", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_line_and_control_characters_are_spaces(rules: str, separator: str) -> None:
    assert tokenize(f"a dog{separator}runs", rules) == ["a", "dog", "runs"]


@pytest.mark.parametrize("rules", TOKEN_RULES)
@given(text=st.text())
def test_tokens_are_lower_case_and_never_empty_or_blank(rules: str, text: str) -> None:
    for token in tokenize(text, rules):
        assert token.split() == [token]
        assert token == token.lower()


@given(st.lists(st.from_regex(r"[a-z]{2,8}", fullmatch=True).filter(lambda word: "no" not in word)))
def test_plain_words_stay_as_they_are(words: list[str]) -> None:
    joined = {"gonna", "gotta", "wanna", "lemme", "gimme"}
    plain = [word for word in words if word not in joined]
    assert tokenize(" ".join(plain), "ptb") == tokenize(" ".join(plain), "karpathy") == plain


@pytest.mark.parametrize(
    "text",
    ["1" * 3000 + "a", "1-" * 2000 + "1/a", "a." * 2000, "a-" * 2000 + "n'", "a" * 3000 + "'", "a@" * 2000],
)
def test_long_runs_do_not_explode(text: str) -> None:
    assert "".join(tokenize(text, "ptb")).replace("-", "") != ""


def test_unknown_rules_are_refused_with_what_there_is() -> None:
    with pytest.raises(ScoringError, match=r"'pbt'.*Did you mean 'ptb'.*ptb, karpathy"):
        tokenize("a dog", "pbt")
