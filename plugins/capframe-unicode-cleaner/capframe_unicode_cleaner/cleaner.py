"""The text cleaner `unicode`."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from icu4py.breakers import WordBreaker

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
_JOINERS = "\u200c\u200d"  # with these, Persian and the scripts of India join or part letters inside a word
_RUN = re.compile(f"[{_UNSPACED}][{_UNSPACED}\u0300-\u036f{_JOINERS}]*")
_VIRAMA = 9  # combining class of the signs that take the vowel from a letter
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"),
        # Spaces that are not among what str.split() cuts at: of zero width, and the fillers of Korean.
        **dict.fromkeys("\u200b\u115f\u1160\u3164\uffa0", " "),
        # These only choose between pictures of one character (emoji and text, say), or cannot be seen at all.
        **dict.fromkeys((0x034F, 0x17B4, 0x17B5, *range(0x180B, 0x1810)), None),
        **dict.fromkeys((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)), None),
    }
)


class UnicodeCleaner:
    """Lower-cases, and keeps letters, marks and digits of every script; scripts without spaces are segmented.

    Chinese, Japanese, Thai, Lao, Khmer and Burmese captions are cut into words by the dictionaries of ICU
    (the International Components for Unicode), and come out with spaces between the words.

    Args:
        form: Unicode normal form. NFC keeps what looks different apart; NFKC also makes full-width letters,
            ligatures and the like plain.
        casefold: fold upper and lower case together, as no language in particular does: *ß* becomes *ss*.
        digits: keep digits; without, they part words as punctuation does.
        inner: punctuation that is kept between two letters, as the apostrophe of *l'homme* and the dot of
            *col·lecció* are.
        segment: cut scripts without spaces into words.
    """

    def __init__(
        self,
        form: Literal["NFC", "NFKC"] = "NFC",
        casefold: bool = True,
        digits: bool = True,
        inner: str = "'·",
        segment: bool = True,
    ) -> None:
        self.form = form
        self.casefold = casefold
        self.kept = "LN" if digits else "L"
        self.inner = frozenset(inner)
        self.segment = segment

    def __call__(self, caption: str) -> str:
        """Return the clean caption: words separated by single spaces."""
        # Folding may undo normalisation and the other way round; both settle within a few rounds.
        while (clean := self._cleaned(caption)) != caption:
            caption = clean
        return clean

    def _cleaned(self, text: str) -> str:
        text = unicodedata.normalize(self.form, text).translate(_PLAIN)
        if self.casefold:
            text = unicodedata.normalize(self.form, text.casefold())
        text = self._lettered(text)
        if self.segment:
            text = _RUN.sub(lambda run: f" {_segmented(run[0])} ", text)
        words = _whole_words(text)
        return " ".join(map(_with_final_sigma, words) if self.casefold else words)

    def _lettered(self, text: str) -> str:
        """Keep letters, digits, their marks and what joins them; put spaces for the rest."""
        kept = " "
        kinds = [unicodedata.category(character) for character in text]
        for character, kind, following in zip(text, kinds, [*kinds, "Zs"][1:], strict=True):
            before = unicodedata.category(kept[-1])[0]
            if kind[0] in self.kept:
                kept += character
            elif kind in ("Mn", "Mc"):
                # A mark goes with its letter: that of an emoji must not be left as a word.
                kept += character if before in "LMN" or kept[-1] in _JOINERS else " "
            elif character in _JOINERS:
                inside = before in "LM" and following[0] in "LM"
                kept += character if inside or unicodedata.combining(kept[-1]) == _VIRAMA else ""
            elif character in self.inner:
                kept += character if before in "LM" and following[0] == "L" else " "
            elif kind not in ("Cf", "Me"):  # marks of direction, soft hyphens and frames leave a word whole
                kept += " "
        return kept


def _segmented(run: str) -> str:
    breaker = WordBreaker(run, "und")
    return " ".join(run[start:end] for start, end in breaker.segments())


def _whole_words(text: str) -> list[str]:
    """Split at spaces, but leave a mark with the letter that it was cut from, of whatever script."""
    words: list[str] = []
    for word in text.split():
        if words and unicodedata.category(word[0])[0] == "M":
            words[-1] += word
        else:
            words.append(word)
    return words


def _with_final_sigma(word: str) -> str:
    """Write the last letter of a Greek word as Greek does; folding makes one sigma of both."""
    return word[:-1] + "ς" if word.endswith("σ") and len(word) > 1 else word
