"""The default text cleaner: ``regex``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache

from capframe import hookimpl
from capframe.errors import OptionError

_APOSTROPHES = "'’‘ʼ＇`´"
_INVISIBLE_JOINERS = "\u00ad\u200c\u200d\u2060\ufeff"


class RegexCleaner:
    """Lower case; apostrophes joined (``dog's`` -> ``dogs``); other punctuation becomes a space.

    ``black-and-white`` becomes ``black and white``; words of one letter stay. Text is brought to Unicode
    normal form C, so that a letter and its accent are one letter however they were typed. Apostrophes,
    accents and soft hyphens that ``pattern`` takes out leave nothing behind: none cuts a word in two.

    Args:
        pattern: a regular expression for what is taken out, applied after lower-casing. Without one,
            all but letters of any script (with their accents and vowel signs), digits and spaces.
        replacement: what takes its place, as it stands (no group references).
        lowercase: whether to turn the caption to lower case first.

    Raises:
        OptionError: the pattern is not a regular expression, or it would change the replacement when a
            caption is cleaned a second time.
    """

    def __init__(self, pattern: str | None = None, replacement: str = " ", lowercase: bool = True) -> None:
        try:
            self._pattern = _all_but_words() if pattern is None else re.compile(pattern)
        except re.error as error:
            raise OptionError(
                f"pattern={pattern!r} of the text cleaner 'regex' is not a regular expression: {error}. "
                "Put a backslash before characters that are meant literally."
            ) from None
        self._replacement = replacement
        self._lowercase = lowercase
        if self(replacement) != " ".join(replacement.split()):
            raise OptionError(
                f"replacement={replacement!r} of the text cleaner 'regex' would itself be cleaned to "
                f"{self(replacement)!r}. Choose one that the pattern and lower-casing leave alone."
            )

    def __call__(self, caption: str) -> str:
        """Return the clean caption: words separated by single spaces."""
        text = unicodedata.normalize("NFC", caption.lower() if self._lowercase else caption)
        text = self._pattern.sub(self._replace, text)
        # Once more: what was taken out may have stood between a letter and its accent.
        return " ".join(unicodedata.normalize("NFC", text).split())

    def _replace(self, match: re.Match[str]) -> str:
        return "" if all(map(_leaves_nothing, match[0])) else self._replacement


def _leaves_nothing(character: str) -> bool:
    return character in _APOSTROPHES + _INVISIBLE_JOINERS or unicodedata.category(character).startswith("M")


@cache
def _all_but_words() -> re.Pattern[str]:
    # The standard library's expressions have no class for the marks that some scripts write vowels with.
    # Variation selectors are marks too, but only choose between drawings of a character.
    marks = "".join(
        chr(code)
        for code in range(0x20000)
        if unicodedata.category(chr(code)) in ("Mn", "Mc") and not 0xFE00 <= code <= 0xFE0F
    )
    return re.compile(rf"[^\w\s{marks}]|[_ʼ]|(?<![^\W_ʼ])(?<![{marks}])[{marks}]+")


@hookimpl
def register_text_cleaners() -> Mapping[str, Callable[..., RegexCleaner] | str]:
    """Offer ``regex``."""
    return {"regex": RegexCleaner}
