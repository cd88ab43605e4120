from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from capframe.errors import ScoringError
from capframe.metrics import cider_d, corpus_bleu, rouge_l
from capframe.scoring import match, score
from capframe.tokens import tokenize

REFERENCES = {
    "dog.jpg": ("A brown dog runs in the grass.", "The dog's running on a lawn .", "A dog runs"),
    "bus.jpg": ("A red bus waits at a stop.", "One bus on the street"),
    "men.jpg": ("Two men sit on a bench.", "Men sit in the park, talking"),
    "cat.jpg": ("A cat sleeps on a red sofa.",),
}
HYPOTHESES = {
    "men.jpg": "two men sit on the grass",
    "cat.jpg": "a cat sits on a sofa",
    "dog.jpg": "A dog runs in the grass .",
    "bus.jpg": "a red bus on the street",
}
TOKENS = {name: tokenize(text) for name, text in HYPOTHESES.items()}
REFERENCE_TOKENS = {name: [tokenize(text) for text in texts] for name, texts in REFERENCES.items()}
OWN = [TOKENS[name] for name in REFERENCES]
OTHERS = [REFERENCE_TOKENS[name] for name in REFERENCES]


def many(pictures: int) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return captions of random words, and references with about three words in ten replaced."""
    generator = np.random.default_rng(3)
    words = np.array(["a", "dog", "runs", "in", "grass", "red", "bus", "men", "sit", "sofa"])
    hypotheses, references = {}, {}
    for number in range(pictures):
        caption = generator.choice(words, 8)
        hypotheses[f"{number}.jpg"] = " ".join(caption)
        other = np.where(generator.random(8) < 0.3, generator.choice(words, 8), caption)
        references[f"{number}.jpg"] = (" ".join(other),)
    return hypotheses, references


def test_scores_are_those_of_the_metrics_whatever_the_order_of_the_pictures() -> None:
    report = score(HYPOTHESES, REFERENCES)
    assert list(report.bleu) == pytest.approx(corpus_bleu(OWN, OTHERS))
    assert report.rouge_l == pytest.approx(rouge_l(OWN, OTHERS)[0])
    assert report.cider == pytest.approx(cider_d(OWN, OTHERS)[0])
    assert (report.pictures, report.references) == (4, 8)


def test_facts_about_the_captions() -> None:
    report = score(HYPOTHESES, REFERENCES)
    assert report.mean_length == 24 / 4
    # All captions have 6 words. Closest lengths: 7 of 7, 7 and 3; 5 of 7 and 5, a tie; 6 of 6 and 6; 7.
    assert report.brevity_ratio == pytest.approx(24 / (7 + 5 + 6 + 7))
    words = "two men sit on the grass a cat sits sofa dog runs in red bus street"
    assert report.distinct_words == len(words.split())


def test_the_share_of_copied_captions_ignores_case_and_punctuation() -> None:
    training = ["A dog runs, in the grass!", "A cat sits on a sofa", "a bus"]
    assert score(HYPOTHESES, REFERENCES, training_captions=training).copied == 2 / 4
    assert score(HYPOTHESES, REFERENCES).copied is None


def test_karpathy_tokens_part_a_hyphened_word() -> None:
    hypotheses, references = {"a": "a t-shirt"}, {"a": ("a t shirt",)}
    assert score(hypotheses, references, tokens="karpathy").bleu[0] == pytest.approx(1)
    assert score(hypotheses, references, tokens="ptb").bleu[0] < 0.5


def test_one_picture_has_no_cider_and_no_interval() -> None:
    report = score({"a": "a dog"}, {"a": ("a dog",)})
    assert report.cider is None
    assert report.per_picture[0].cider is None
    assert report.intervals == {}
    assert report.to_json()["cider"] is None
    assert "CIDEr-D" in report.to_text()
    assert report.warnings[0].startswith("One picture: CIDEr-D is not defined")


def test_fewer_than_a_hundred_pictures_are_warned_of() -> None:
    few = "Fewer than 100 pictures: CIDEr-D does not compare with other sets'."
    assert score(*many(99), bootstrap=0).warnings == (few,)
    assert score(*many(100), bootstrap=0).warnings == ()


def test_literal_markers_are_warned_of_on_either_side_with_a_count() -> None:
    hypotheses, references = many(100)
    hypotheses |= {
        "3.jpg": "startseq a dog endseq",
        "4.jpg": "<Unk> dog <UNK> endseq",
        "5.jpg": "endsequence",
    }
    references["7.jpg"] = ("<start> a dog <end>", "a dog <end>")
    assert [text.partition(":")[0] for text in score(hypotheses, references, bootstrap=0).warnings] == [
        "'<unk>' stands in 1 of 100 hypotheses",
        "'endseq' stands in 2 of 100 hypotheses",
        "'startseq' stands in 1 of 100 hypotheses",
        "'<end>' stands in 2 of 101 references",
        "'<start>' stands in 1 of 101 references",
    ]


def test_empty_captions_are_warned_of_and_score_nothing() -> None:
    hypotheses, references = many(100)
    hypotheses["3.jpg"] = " "
    report = score(hypotheses, references, bootstrap=0)
    assert report.warnings == ("1 of 100 hypotheses are empty.",)
    assert (report.per_picture[3].bleu_4, report.per_picture[3].cider) == (0, 0)


def test_the_bootstrap_equals_resampling_picture_by_picture() -> None:
    hypotheses, references = many(30)
    report = score(hypotheses, references, bootstrap=150, seed=5)
    own = [tokenize(text) for text in hypotheses.values()]
    others = [[tokenize(text) for text in texts] for texts in references.values()]
    rouge, cider = rouge_l(own, others)[1], cider_d(own, others)[1]
    generator = np.random.default_rng(5)
    samples = []
    for size in (100, 50):
        for times in generator.multinomial(30, np.full(30, 1 / 30), size):
            rows = np.repeat(np.arange(30), times)
            bleu = corpus_bleu([own[row] for row in rows], [others[row] for row in rows])
            samples.append([*bleu, rouge[rows].mean(), cider[rows].mean()])
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    assert list(report.intervals) == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"]
    np.testing.assert_allclose(list(report.intervals.values()), np.stack([low, high], axis=1), rtol=1e-9)


def test_intervals_hold_the_score_repeat_with_the_seed_and_narrow_with_pictures() -> None:
    few, more = score(*many(50)), score(*many(800))
    assert few.intervals == score(*many(50)).intervals
    assert few.intervals != score(*many(50), seed=1).intervals
    for name, value in few.scores.items():
        low, high = few.intervals[name]
        assert value is not None
        assert low < value < high
        assert high - low > more.intervals[name][1] - more.intervals[name][0]
    assert score(*many(50), bootstrap=0).intervals == {}


def test_the_signature_says_how_in_one_line() -> None:
    from capframe import __version__

    report = score(HYPOTHESES, REFERENCES, tokens="karpathy", search="beam:3|length-penalty:1")
    how = "tokens:karpathy|references:2.0|pictures:4|beam:3|length-penalty:1"
    assert report.signature == f"{how}|version:{__version__}"
    assert "|search:unknown|" in score(HYPOTHESES, REFERENCES).signature


def test_the_table_is_aligned_and_has_four_digits() -> None:
    report = score({"a": "a dog", "b": "a cat"}, {"a": ("a dog",), "b": ("a bird",)}, bootstrap=0)
    # 3 of 4 words and 1 of 2 bigrams match: BLEU-2 is the root of 3/4 x 1/2. Where there is nothing to
    # match, the toolkit's constants stand for a precision of 1e-15 / 1e-9.
    assert report.to_text().splitlines() == [
        "BLEU-1                 0.7500",
        "BLEU-2                 0.6124",
        "BLEU-3                 0.0072",
        "BLEU-4                 0.0008",
        "ROUGE-L                0.7500",
        f"CIDEr-D                {report.cider:.4f}",
        "pictures                    2",
        "mean length            2.0000",
        "brevity ratio          1.0000",
        "distinct words              3",
        "copied from training  unknown",
        report.signature,
        f"warning: {report.warnings[0]}",
    ]


def test_the_table_shows_intervals() -> None:
    report = score(*many(100))
    low, high = report.intervals["bleu_4"]
    assert f"  95 %: {low:.4f} to {high:.4f}" in report.to_text().splitlines()[3]


def test_json_holds_every_digit() -> None:
    report = score(HYPOTHESES, REFERENCES, training_captions=["a"])
    read = json.loads(json.dumps(report.to_json()))
    assert read["bleu_4"] == report.bleu[3]
    assert read["cider"] == report.cider
    assert read["intervals"]["rouge_l"] == list(report.intervals["rouge_l"])
    assert (read["pictures"], read["references"], read["copied"]) == (4, 8, 0.0)
    assert read["signature"] == report.signature
    assert read["warnings"] == list(report.warnings)


def test_rows_of_pictures_are_written_as_csv(tmp_path: Path) -> None:
    report = score(HYPOTHESES | {"cat.jpg": 'a "red", cat'}, REFERENCES)
    report.write_per_picture(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "caption", "bleu_4", "rouge_l", "cider"]
    assert [row["image"] for row in rows] == list(REFERENCES)
    assert rows[3]["caption"] == 'a "red", cat'
    assert [float(row["cider"]) for row in rows] == [row.cider for row in report.per_picture]
    assert np.mean([float(row["rouge_l"]) for row in rows]) == pytest.approx(report.rouge_l)
    assert list(tmp_path.iterdir()) == [tmp_path / "rows.csv"]


def test_rows_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match=r"none.rows\.csv cannot be written"):
        score(HYPOTHESES, REFERENCES).write_per_picture(tmp_path / "none" / "rows.csv")


def test_names_are_matched_in_the_order_of_the_references() -> None:
    assert list(match({"b": ["y"], "a": ["x"]}, {"a": ("1",), "b": ("2",)}).items()) == [
        ("a", "x"),
        ("b", "y"),
    ]


def test_missing_extra_and_doubled_names_are_refused_naming_the_first_five() -> None:
    references = {f"{number}.jpg": ("a",) for number in range(8)}
    hypotheses = {"7.jpg": ["a", "b"], "other.jpg": ["a"]}
    with pytest.raises(ScoringError) as caught:
        match(hypotheses, references)
    assert str(caught.value).startswith(
        "Of 8 pictures to score, 7 have no hypothesis (0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg), "
        "1 have a hypothesis but no references (other.jpg), 1 have more than one hypothesis (7.jpg). "
    )


def test_scoring_refuses_what_does_not_match() -> None:
    with pytest.raises(ScoringError, match=r"1 have no hypothesis \(bus.jpg\)"):
        score({name: text for name, text in HYPOTHESES.items() if name != "bus.jpg"}, REFERENCES)
    with pytest.raises(ScoringError, match=r"1 have a hypothesis but no references \(x.jpg\)"):
        score(HYPOTHESES | {"x.jpg": "a dog"}, REFERENCES)
    with pytest.raises(ScoringError, match="Of 0 pictures to score, none"):
        score({}, {})
    with pytest.raises(ScoringError, match="no token rules"):
        score(HYPOTHESES, REFERENCES, tokens="penn")
