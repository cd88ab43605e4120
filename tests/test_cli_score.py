from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from capframe.cli import main

REFERENCES = """image,caption
one.png,a red star
one.png,there is a red star
two.png,"two stars, both red"
two.png,two red stars
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "references.csv").write_text(REFERENCES)
    (tmp_path / "hypotheses.csv").write_text("image,caption\ntwo.png,two red stars\none.png,a red star\n")
    return tmp_path


def score(files: Path, *arguments: str) -> Result:
    given = ["--references", str(files / "references.csv"), "--hypotheses", str(files / "hypotheses.csv")]
    return CliRunner().invoke(main, ["score", *given, *arguments])


def test_captions_that_are_references_have_perfect_precision(files: Path) -> None:
    result = score(files, "--format", "json")

    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["pictures"] == 2
    assert report["bleu_1"] == pytest.approx(1.0, abs=1e-6)
    assert report["rouge_l"] == pytest.approx(1.0)
    assert "tokens:ptb" in report["signature"]


def test_text_shows_four_digits(files: Path) -> None:
    assert "1.0000" in score(files, "--tokens", "karpathy").stdout


def test_rows_are_matched_by_name_and_written_per_picture(files: Path) -> None:
    result = score(files, "--per-picture", str(files / "rows.csv"))

    with (files / "rows.csv").open(newline="") as file:
        rows = {row["image"]: row["caption"] for row in csv.DictReader(file)}
    assert result.exit_code == 0
    assert rows == {"one.png": "a red star", "two.png": "two red stars"}


def test_a_split_says_which_references_count(files: Path) -> None:
    (files / "split.txt").write_text("one.png\n")
    (files / "hypotheses.csv").write_text("one.png,a red star\n")

    report = json.loads(score(files, "--split", str(files / "split.txt"), "--format", "json").stdout)

    assert (report["pictures"], report["references"]) == (1, 2)
    assert report["cider"] is None


@pytest.mark.parametrize(
    ("hypotheses", "message"),
    [
        ("one.png,a red star\n", "have no hypothesis (two.png)"),
        ("one.png,a\none.png,b\ntwo.png,c\n", "have more than one hypothesis (one.png)"),
        ("one.png,a\ntwo.png,c\nsix.png,d\n", "have a hypothesis but no references (six.png)"),
    ],
)
def test_names_that_do_not_match_are_refused(files: Path, hypotheses: str, message: str) -> None:
    (files / "hypotheses.csv").write_text(hypotheses)

    result = score(files)

    assert result.exit_code == 1
    assert message in result.stderr


def test_a_split_that_names_pictures_without_references_is_refused(files: Path) -> None:
    (files / "split.txt").write_text("one.png\nsix.png\n")

    result = score(files, "--split", str(files / "split.txt"))

    assert result.exit_code == 1
    assert "no captions of 1 pictures" in result.stderr
    assert "six.png" in result.stderr
