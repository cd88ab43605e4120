"""Laws of metrics."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .laws import ConformanceError, LawBook, Subject, require


def _words(*captions: str) -> list[list[str]]:
    return [caption.split() for caption in captions]


HYPOTHESES = _words("a dog runs on grass", "two men in hats", "a red car is parked", "dog dog dog", "")
REFERENCES = [
    _words("a brown dog runs on the grass", "the dog is running"),
    _words("two men wear hats", "men in black hats stand", "two people"),
    _words("a red car is parked"),
    _words("a dog sleeps on a bed", "dog"),
    _words("a boat on the sea", "the sea"),
]


def _scored(component: Any, hypotheses: Any = None, references: Any = None) -> tuple[float, Any]:
    hypotheses = HYPOTHESES if hypotheses is None else hypotheses
    references = REFERENCES if references is None else references
    # Copies: a metric may spoil what it is given; that has its own law.
    total, rows = component(*copy.deepcopy((hypotheses, references)))
    return float(total), np.asarray(rows, np.float64)


def _outcome(component: Any) -> Any:
    total, rows = _scored(component)
    return np.append(rows, total)


BOOK = LawBook(_outcome)


@BOOK.law("Return (score, scores): a float, and a float64 array with one number for each picture.")
def there_is_a_score_and_one_for_each_picture(subject: Subject) -> None:
    """N pictures give a finite float and N finite float64; an empty caption is a caption, too."""
    total, rows = subject.component(*copy.deepcopy((HYPOTHESES, REFERENCES)))
    require(isinstance(total, float), f"the score is {total!r}, no float")
    if not isinstance(rows, np.ndarray):
        raise ConformanceError(f"a {type(rows).__name__} instead of a NumPy array")
    require(rows.dtype == np.float64, f"the scores are {rows.dtype}")
    require(rows.shape == (len(HYPOTHESES),), f"scores {list(rows.shape)} for {len(HYPOTHESES)} pictures")
    require(bool(np.isfinite(total) and np.isfinite(rows).all()), f"{total} and {rows}")


@BOOK.law("Draw nothing at random, and keep no state between calls.")
def the_same_captions_get_the_same_scores(subject: Subject) -> None:
    """Scoring twice gives the same numbers."""
    (first, rows), (second, again) = _scored(subject.component), _scored(subject.component)
    require(first == second and bool((rows == again).all()), f"{first} {rows} and then {second} {again}")


@BOOK.law("Score each picture by its own references, whatever its place.")
def the_order_of_pictures_does_not_matter(subject: Subject) -> None:
    """Scores follow their pictures when these change places."""
    order = [3, 0, 4, 2, 1]
    total, rows = _scored(subject.component)
    moved, other = _scored(subject.component, [HYPOTHESES[n] for n in order], [REFERENCES[n] for n in order])
    require(abs(total - moved) <= 1e-9 * max(1.0, abs(total)), f"{total} becomes {moved}")
    require(bool(np.allclose(rows[order], other, rtol=1e-9, atol=1e-12)), f"{rows[order]} becomes {other}")


@BOOK.law("Let more be better: return the negative of a distance or error.")
def references_score_no_lower_than_foreign_words(subject: Subject) -> None:
    """Captions that are references score no lower than captions that share no word with them."""
    perfect, _ = _scored(subject.component, [texts[0] for texts in REFERENCES])
    foreign, _ = _scored(subject.component, [[f"x{n}"] * len(texts[0]) for n, texts in enumerate(REFERENCES)])
    require(perfect >= foreign, f"{perfect} for references, {foreign} for foreign words")


@BOOK.law("Copy the lists before changing them.")
def captions_are_left_as_they_are(subject: Subject) -> None:
    """The captions and references that are passed in are not changed."""
    hypotheses, references = copy.deepcopy((HYPOTHESES, REFERENCES))
    subject.component(hypotheses, references)
    require((hypotheses, references) == (HYPOTHESES, REFERENCES), "they were changed")
