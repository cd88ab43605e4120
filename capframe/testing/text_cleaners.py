"""Laws of text cleaners."""

from __future__ import annotations

from typing import Any

import numpy as np

from .laws import LawBook, Subject, require

TEXTS = (
    "",
    " ",
    "A dog runs.",
    'Two  men, "in hats" -- and a\tdog\n',
    "It's the boy's 3rd well-known goal!",
    "un café à Paris, Zürich; Ωmega",
    "一只狗在草地上跑",
    "<start> a b c <end>",
    "\u200bzero\u00a0width \ufeff and e\u0301 marks",
    "🙂 a smile",
)


def _texts() -> list[str]:
    """Return captions as people write them, and random text over several alphabets."""
    random = np.random.default_rng(0)
    ranges = ((32, 127), (160, 383), (0x3B1, 0x3C9), (0x4E00, 0x4E40), (0x300, 0x330), (1, 32))
    texts = list(TEXTS)
    for _ in range(200):
        low, high = ranges[int(random.integers(len(ranges)))]
        points = random.integers(low, high, int(random.integers(1, 30)))
        texts.append("".join(map(chr, points.tolist())))
        texts.append(" ".join(map(chr, points.tolist())))
    return texts


def _outcome(component: Any) -> list[Any]:
    return [component(text) for text in _texts()]


BOOK = LawBook(_outcome)


@BOOK.law("Return a str, for an empty caption too.")
def a_caption_comes_out_as_text(subject: Subject) -> None:
    """Text in, text out."""
    for text in _texts():
        clean = subject.component(text)
        require(isinstance(clean, str), f"{text!r} gives {clean!r}")


@BOOK.law("Clean until nothing changes, or order the steps so that none undoes or enables an earlier one.")
def cleaning_twice_changes_nothing_more(subject: Subject) -> None:
    """A clean caption stays as it is."""
    for text in _texts():
        once = subject.component(text)
        twice = subject.component(once)
        require(once == twice, f"{text!r} gives {once!r}, and that gives {twice!r}")


@BOOK.law("Keep no state between captions, and use nothing random.")
def the_same_caption_gives_the_same_result(subject: Subject) -> None:
    """What was cleaned before does not matter."""
    texts = _texts()
    forwards = {text: subject.component(text) for text in texts}
    fresh = subject.build()
    for text in reversed(texts):
        again = fresh(text)
        require(again == forwards[text], f"{text!r} gives {forwards[text]!r} and later {again!r}")


@BOOK.law("End with ' '.join(caption.split()).")
def words_are_separated_by_single_spaces(subject: Subject) -> None:
    """The words of a clean caption are separated by single spaces, with none at the ends."""
    for text in _texts():
        clean = str(subject.component(text))
        require(clean == " ".join(clean.split()), f"{text!r} gives {clean!r}")
