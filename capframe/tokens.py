"""The scoring normalisation: a caption in, the tokens that metrics count out.

There are two fixed sets of rules, whatever text cleaners a captioner was trained with, so that numbers
compare with papers:

- ``ptb``: Penn Treebank tokens as the COCO toolkit makes them, lower-cased, without its punctuation.
- ``karpathy``: lower case, every character but letters and digits a space.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .errors import ScoringError, did_you_mean

# Line ends and control characters, and what lies beyond the toolkit's Unicode.
_BLANKS = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\U00010000-\U0010ffff]")
_SPELLINGS = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201b\u2039\u203a", "'")
    | dict.fromkeys("\u00ab\u00bb\u201c\u201d", '"')
    | dict.fromkeys("\u2013\u2014\u2015\u2026", " ")
    | {"\u00a2": " cents ", "\u00a3": "#", "\u00a4": "$", "\u20ac": "$"}
    | {"\u00bc": " 1/4 ", "\u00bd": " 1/2 ", "\u00be": " 3/4 ", "\u2153": " 1/3 ", "\u2154": " 2/3 "}
)
_ENTITIES = {"&amp;": "&", "&apos;": "'", "&quot;": '"', "&lt;": " < ", "&gt;": " > "}
_ENTITY = re.compile("|".join(_ENTITIES))
# Dashes and dots in rows part words and are then removed.
_ROWS = re.compile(r"-{2,}|\.{3,}")
_BRACKETS = str.maketrans(
    {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
)
# The toolkit lists -LRB- in capitals but lower-cases first, so that brackets stay.
_REMOVED = frozenset("'`\".?!,:-;")

# Written with a full stop: in any case, only with a capital, and only before a number.
_ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn assoc asst atty aug ave bhd bldg blvd brig bros calif capt cf
    cie cmdr co col colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext feb
    fla fri ft ga gen gov govs hon inc ind insp intl invt jan jos jr jul jun kan kans ky lieut lt ltd maj
    mar md me messrs mfg mich minn mlle mme mo mon mont mr mrs ms msgr mt mtg natl neb nev nov oct okla
    penn pfc ph plc ppte ppty pres prof profs pte ptes pty ptys pvt rd rep reps rev rt sen sens sep sept
    seq sfc sgt spc sq sr st ste supt sys tel tenn thu thurs tue tues univ va vs vt wed wis wisc wm wyo
"""
_CAPITALISED = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash ARK AZ DEL ILL LA MASS MISS ORE PA TEX WASH"
_COUNTED = "art ca fig figs no nos op pp prop"
# A full stop between a single letter and one of these ends a sentence.
_SENTENCE_STARTERS = """
    A About According Additionally After An As At But He Her Here However If In It Last Many More Now Once
    One Other Our She Since So Some Such That The Their Then There These They This We What When While Yet You
"""


def _any_of(words: str) -> str:
    return "|".join(sorted(words.split(), key=len, reverse=True))


# Raised digits and enclosed letters are symbols of their own, not parts of words.
_LETTER = r"(?:[^\W\d_\u00b2\u00b3\u00b9\u2070-\u20ff\u2150-\u2bff][\u0300-\u036f]*)"
_LETTERS = rf"(?:(?:{_LETTER}|\d)+)"
_DOTTED = rf"(?:{_LETTER}{_LETTERS}?(?:[.!?](?={_LETTER}){_LETTERS})*)"
_WORD = rf"(?:(?:{_DOTTED}|{_LETTERS})(?:[-_]{_LETTERS})*)"
_STOP = r"(?![^\W_])"
_PTB_TOKEN = re.compile(
    rf"""
    # Most words, first because it is quick: letters between blanks.
      (?<!\S)(?!(?i:cannot|gonna|gotta|wanna|lemme|gimme)(?!\S))[A-Za-z]+(?!\S)
    # Addresses, tags and smileys.
    | https?://[^\s<>"|(){{}}]*[^\s<>"|(){{}}.,!?;:'-] | [\w.+-]+@[\w-]+(?:\.[\w-]+)+ | [@\#]{_LETTER}\w*
    | </?[A-Za-z][\w.:-]*/?> | [:;=][-o*']?[()DPpdO\\|]{_STOP} | :3+{_STOP}
    # Two words written as one.
    | (?i: can(?=not{_STOP}) | gon(?=na{_STOP}) | got(?=ta{_STOP}) | wan(?=na{_STOP})
         | (?:lem|gim)(?=me{_STOP}) | 't(?=is|was) )
    | (?:{_LETTERS}[-_.])*(?:{_LETTER}|\d)+?(?=(?i:n't){_STOP}) | (?i:n't|'(?:s|m|d|re|ve|ll)){_STOP}
    # Words with an apostrophe.
    | (?i: [dlno]'{_LETTER}{{2,}} | {_LETTER}{{2,}}(?<=[aeiouy])'(?=[aeiou]){_LETTER}+
         | c'(?:est|mon){_STOP} | e'er | ev'ry | li'l | nat'l | nor'easter | s'mores | (?:dunkin|ol|somethin)'
         | '[2-9]0s | '\d\d(?!\S) | 'n' | 'n{_STOP} | 'em | 'till? | 'cause | y'(?={_LETTER}) )
    # Words with full stops of their own.
    | (?: (?i:{_any_of(_ABBREVIATIONS)}) | {_any_of(_CAPITALISED)} | (?i:{_any_of(_COUNTED)})(?=\.\s*\d)
        | (?!{_LETTER}\.\s+(?:{_any_of(_SENTENCE_STARTERS + _SENTENCE_STARTERS.upper())})\s)
          (?:{_LETTER}{{1,2}}\.)*{_LETTER} )\.(?!{_LETTER})(?:-{_WORD})*
    | {_WORD}\.(?=[,;:])
    # Numbers, money, and everything that capitals, hyphens and slashes make one word.
    | [-+]?[.,]?\d+(?:[.,:/]\d+|-{_LETTERS})*(?!{_LETTERS}|_\w|[.,:/]\d|/{_LETTER}) | \d+(?:[.,:]\d+)+
    | [A-Z]*\$ | [A-Z]+(?:&[A-Z]+)+ | {_WORD}(?:/{_WORD}){{0,2}}
    # What is left: each symbol for itself; the toolkit drops those that are not listed here.
    | [?!]{{2,}} | [*]+ | _+
    | (?!\s)[!-~\u00a1-\u1fff\u2016-\u2044\u2070-\u2bff\u3001\u3002\uff01-\uffe6]
    """,
    re.VERBOSE,
)
_KARPATHY_TOKEN = re.compile(r"[^\W_]+")


def _ptb(text: str) -> list[str]:
    text = _BLANKS.sub(" ", text).translate(_SPELLINGS)
    text = _ROWS.sub(" ", _ENTITY.sub(lambda match: _ENTITIES[match[0]], text))
    tokens = (token for token in _PTB_TOKEN.findall(text) if token not in _REMOVED)
    return [token.lower().translate(_BRACKETS) for token in tokens]


def _karpathy(text: str) -> list[str]:
    return _KARPATHY_TOKEN.findall(text.lower())


TOKEN_RULES: dict[str, Callable[[str], list[str]]] = {"ptb": _ptb, "karpathy": _karpathy}
"""The sets of rules by name: each maps a caption to its tokens."""


def tokenize(text: str, rules: str = "ptb") -> list[str]:
    """Split one caption into lower-case tokens by ``rules``; line and control characters are spaces.

    ``ptb`` follows the tokenizer of the COCO caption evaluation (Chen et al., 2015, "Microsoft COCO
    Captions", section 3.2): ``t-shirt`` is one token, ``'s`` and ``n't`` are split off, punctuation goes,
    brackets stay as ``-lrb-`` and ``-rrb-``. ``karpathy`` keeps runs of letters and digits.

    Raises:
        ScoringError: there are no such rules; lists those that exist.
    """
    if rules not in TOKEN_RULES:
        raise ScoringError(
            f"There are no token rules '{rules}'.{did_you_mean(rules, TOKEN_RULES)} "
            f"Choose one of: {', '.join(TOKEN_RULES)}."
        )
    return TOKEN_RULES[rules](text)
