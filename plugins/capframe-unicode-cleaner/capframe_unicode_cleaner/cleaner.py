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
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"))


class UnicodeCleaner:
    """Lower-cases, and keeps letters, marks and digits of every script; scripts without spaces are segmented.

    Chinese, Japanese, Thai, Lao, Khmer and Burmese captions are cut into words by the dictionaries of ICU
    (the International Components for Unicode), and come out with spaces between the words.

    Args:
        form: Unicode normal form. NFC keeps what looks different apart; NFKC also makes full-width letters,
            ligatures and the like plain.
        casefold: fold upper and lower case together.
        digits: keep digits; without, they part words as punctuation does.
        inner: punctuation that is kept between two letters, for instance the apostrophe of *l'homme*.
        segment: cut scripts without spaces into words.
    """

    def __init__(
        self,
        form: Literal["NFC", "NFKC"] = "NFC",
        casefold: bool = True,
        digits: bool = True,
        inner: str = "'",
        segment: bool = True,
    ) -> None:
        self.form = form
        self.casefold = casefold
        self.kept = "LMN" if digits else "LM"
        self.inner = frozenset(inner)
        self.segment = segment

    def __call__(self, caption: str) -> str:
        """Return the clean caption: words separated by single spaces."""
        # Folding may undo normalisation and the other way round; both settle within a few rounds.
        while (clean := self._cleaned(caption)) != caption:
            caption = clean
        return clean

    def _cleaned(self, text: str) -> str:
        text = unicodedata.normalize(self.form, text).translate(_APOSTROPHES)
        if self.casefold:
            text = unicodedata.normalize(self.form, text.casefold())
        letters = "".join(
            character if self._stays(text, place) else " " for place, character in enumerate(text)
        )
        if self.segment:
            letters = _RUN.sub(lambda run: f" {_segmented(run[0])} ", letters)
        return " ".join(letters.split())

    def _stays(self, text: str, place: int) -> bool:
        character = text[place]
        if character not in self.inner and character not in _JOINERS:
            return unicodedata.category(character)[0] in self.kept
        around = text[place - 1 : place] + text[place + 1 : place + 2]
        return len(around) == 2 and all(unicodedata.category(letter)[0] in "LM" for letter in around)


def _segmented(run: str) -> str:
    breaker = WordBreaker(run, "und")
    return " ".join(run[start:end] for start, end in breaker.segments())
