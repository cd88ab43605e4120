from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capframe.errors import ScoringError
from capframe.metrics import CiderD, bleu_counts, cider_d, corpus_bleu, count_ngrams, rouge_l

WORDS = st.lists(st.sampled_from(["a", "dog", "runs", "in", "grass"]), max_size=9)
PICTURES = st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=5)), min_size=1, max_size=7)
DOGS = ["a", "dog", "runs", "in", "the", "grass"]

# Of each picture a hypothesis and its references.
TIES = [(["a", "b", "c"], [["a", "b", "c", "d"], ["x", "y"]]), (["a", "b"], [["a"], ["a", "b", "c"]])]
EMPTY = [([], [["a", "dog"]]), (["a"], [[], ["a"]]), ([], [[]]), (["a", "dog"], [[]])]
REPEATED = [(["the", "the", "the", "the"], [["the", "cat", "the"], ["a", "the"]]), (DOGS, [DOGS, DOGS[::-1]])]
ONE_WORD = [(["dog"], [["dog"]]), (["cat"], [["dog"]]), (["a"], [["a", "dog"], ["a"]])]

Pair = tuple[Sequence[str], Sequence[Sequence[str]]]


def sides(pairs: Sequence[Pair]) -> tuple[list[Sequence[str]], list[Sequence[Sequence[str]]]]:
    return [hypothesis for hypothesis, _ in pairs], [references for _, references in pairs]


def toolkit(metric: Any, pairs: Sequence[Pair], **options: Any) -> tuple[Any, Any]:
    references = {row: [" ".join(tokens) for tokens in others] for row, (_, others) in enumerate(pairs)}
    hypotheses = {row: [" ".join(tokens)] for row, (tokens, _) in enumerate(pairs)}
    corpus, rows = metric.compute_score(references, hypotheses, **options)
    return corpus, rows


@settings(deadline=None)
@given(PICTURES)
@example(TIES)
@example(EMPTY)
@example(REPEATED)
@example(ONE_WORD)
@example([(DOGS, [DOGS])])
def test_bleu_equals_the_coco_toolkit(pairs: Sequence[Pair]) -> None:
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu")
    corpus, rows = toolkit(bleu.Bleu(4), pairs, verbose=0)
    assert corpus_bleu(*sides(pairs)) == pytest.approx(corpus, rel=0, abs=1e-9)
    np.testing.assert_allclose(bleu_counts(*sides(pairs)).scores().T, rows, rtol=0, atol=1e-9)


@settings(deadline=None)
@given(PICTURES)
@example(TIES)
@example(EMPTY)
@example(REPEATED)
@example(ONE_WORD)
@example([([], [[]])])
def test_rouge_l_equals_the_coco_toolkit(pairs: Sequence[Pair]) -> None:
    rouge = pytest.importorskip("pycocoevalcap.rouge.rouge")
    corpus, rows = toolkit(rouge.Rouge(), pairs)
    mean, scores = rouge_l(*sides(pairs))
    assert mean == pytest.approx(corpus, rel=0, abs=1e-9)
    np.testing.assert_allclose(scores, rows, rtol=0, atol=1e-9)


@settings(deadline=None)
@given(PICTURES.filter(lambda pairs: any(any(others) for _, others in pairs)))
@example(TIES)
@example(EMPTY)
@example(REPEATED)
@example(ONE_WORD)
@example([(DOGS, [DOGS])])
def test_cider_d_equals_the_coco_toolkit(pairs: Sequence[Pair]) -> None:
    cider = pytest.importorskip("pycocoevalcap.cider.cider")
    corpus, rows = toolkit(cider.Cider(), pairs)
    mean, scores = cider_d(*sides(pairs))
    assert mean == pytest.approx(corpus, rel=0, abs=1e-9)
    np.testing.assert_allclose(scores, rows, rtol=0, atol=1e-9)


def test_all_scores_equal_the_coco_toolkit_on_a_thousand_pictures() -> None:
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu")
    cider = pytest.importorskip("pycocoevalcap.cider.cider")
    generator = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(300)])
    chances = 1 / np.arange(1, 301)
    chances /= chances.sum()

    def caption() -> list[str]:
        return list(generator.choice(words, generator.integers(4, 15), p=chances))

    pairs = [(caption(), [caption() for _ in range(5)]) for _ in range(1000)]
    assert corpus_bleu(*sides(pairs)) == pytest.approx(
        toolkit(bleu.Bleu(4), pairs, verbose=0)[0], rel=0, abs=1e-9
    )
    assert cider_d(*sides(pairs))[0] == pytest.approx(toolkit(cider.Cider(), pairs)[0], rel=0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WORDS.filter(lambda words: len(words) > 3), WORDS.filter(bool)), min_size=1))
def test_bleu_of_one_reference_equals_nltk(pairs: list[tuple[list[str], list[str]]]) -> None:
    nltk_bleu = pytest.importorskip("nltk.translate.bleu_score")
    hypotheses, references = [own for own, _ in pairs], [[other] for _, other in pairs]
    weights = [tuple(1 / order for _ in range(order)) for order in range(1, 5)]
    # Without any match NLTK warns and then gives a number of its own.
    matched = bleu_counts(hypotheses, references).matches.sum(axis=0)
    for order, score in enumerate(corpus_bleu(hypotheses, references), start=1):
        if matched[:order].all():
            expected = nltk_bleu.corpus_bleu(references, hypotheses, weights=weights[order - 1])
            assert score == pytest.approx(expected, abs=1e-8)


def test_bleu_of_several_references_equals_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    hypotheses = ["a brown dog runs in the grass", "two men sit on a bench in a park"]
    references = [
        ["a dog runs in the green grass", "two men sit on a bench"],
        ["the brown dog runs in the grass fast", "men on a bench in a park"],
    ]
    expected = sacrebleu.corpus_bleu(hypotheses, references, tokenize="none", smooth_method="none")
    own = [caption.split() for caption in hypotheses]
    others = [[caption.split() for caption in texts] for texts in zip(*references, strict=True)]
    assert corpus_bleu(own, others)[3] == pytest.approx(expected.score / 100, abs=1e-8)


def test_bleu_of_a_worked_example() -> None:
    # Matches of "the the the the": two, clipped at "the cat the"; the closest length is 3, no penalty.
    assert corpus_bleu([["the", "the", "the", "the"]], [[["the", "cat", "the"]]], 1) == pytest.approx([2 / 4])
    # All 3 words match, and the closest of 4 and 5 words is 4: exp(1 - 4 / 3).
    brief = corpus_bleu([["a", "b", "c"]], [[["a", "b", "c", "d"], ["a", "b", "c", "d", "e"]]], 2)
    assert brief == pytest.approx([math.exp(-1 / 3)] * 2)


def test_a_tie_in_length_goes_to_the_shorter_reference() -> None:
    counts = bleu_counts([["a"] * 4], [[["a"] * 6, ["a"] * 2]])
    assert counts.reference_lengths.tolist() == [2]


def test_weighted_counts_are_those_of_repeated_pictures() -> None:
    hypotheses, references = sides([*REPEATED, *TIES])
    counts = bleu_counts(hypotheses, references)
    resampled = counts.weighted(np.array([[2, 0, 1, 1], [1, 1, 1, 1]])).scores()
    rows = [0, 0, 2, 3]
    repeated = corpus_bleu([hypotheses[row] for row in rows], [references[row] for row in rows])
    np.testing.assert_allclose(resampled, [repeated, corpus_bleu(hypotheses, references)], rtol=1e-12)


def test_rouge_l_takes_best_precision_and_best_recall_independently() -> None:
    # Precision 3/4 from the first reference (3 in order of its 6), recall 2/2 from the second.
    _, scores = rouge_l([["a", "b", "c", "d"]], [[["a", "x", "b", "y", "c", "z"], ["c", "d"]]])
    precision, recall, weight = 3 / 4, 1.0, 1.2**2
    expected = (1 + weight) * precision * recall / (recall + weight * precision)
    assert scores.tolist() == pytest.approx([expected])


def test_cider_d_of_the_references_themselves_is_ten() -> None:
    captions = [
        ["a", "dog", "runs", "in", "grass"],
        ["two", "men", "sit", "on", "benches"],
        ["one", "red", "bus", "waits", "here"],
    ]
    _, scores = cider_d(captions, [[caption] for caption in captions])
    assert scores.tolist() == pytest.approx([10.0, 10.0, 10.0])


def test_cider_d_scores_a_part_of_its_pictures_with_all_document_frequencies() -> None:
    hypotheses, references = sides([*REPEATED, *TIES, *ONE_WORD])
    scorer = CiderD(references)
    all_scores = scorer.score(hypotheses)
    rows = [3, 1, 1]
    assert scorer.score([hypotheses[row] for row in rows], rows).tolist() == all_scores[rows].tolist()
    assert all_scores[1] > 0


def test_ngrams_are_counted_up_to_an_order() -> None:
    assert count_ngrams(["a", "b", "a"], 2) == {("a",): 2, ("b",): 1, ("a", "b"): 1, ("b", "a"): 1}


@pytest.mark.parametrize("metric", [corpus_bleu, rouge_l, cider_d])
def test_what_is_not_aligned_is_refused(metric: Any) -> None:
    with pytest.raises(ScoringError, match="2 hypotheses for 1 pictures"):
        metric([["a"], ["b"]], [[["a"]]])
    with pytest.raises(ScoringError, match=r"Picture 1 .* has no reference"):
        metric([["a"], ["b"]], [[["a"]], []])
    with pytest.raises(ScoringError, match="no pictures"):
        metric([], [])
