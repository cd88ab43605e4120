"""The scoring normalisation: a caption in, the tokens that metrics count out.

It is one of two fixed sets of rules, whatever text cleaners a captioner was trained with, so that
numbers compare with papers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Literal

from .errors import ScoringError, did_you_mean

TokenRules = Literal["ptb", "karpathy"]

_APOSTROPHES = dict.fromkeys("\u2018\u2019\u201b\u2039\u203a", "'")
_DOUBLE_QUOTES = dict.fromkeys("\u00ab\u00bb\u201c\u201d", '"')
_DASHES = dict.fromkeys("\u2013\u2014\u2015", " -- ")
_SPELLED_OUT = {"\u00a2": " cents ", "\u00a3": "#", "\u00a4": "$", "\u20ac": "$", "\u2026": "..."}
_FRACTIONS = {"\u00bc": "1/4", "\u00bd": "1/2", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
_CHARACTERS = str.maketrans(
    _APOSTROPHES
    | _DOUBLE_QUOTES
    | _DASHES
    | _SPELLED_OUT
    | {character: f" {written} " for character, written in _FRACTIONS.items()}
)
_ENTITIES = {"&amp;": "&", "&apos;": "'", "&quot;": '"'}
_ENTITY = re.compile("|".join(_ENTITIES))

# Shortened words that keep their full stop; of the second group only those that are capitalised do.
_TITLES = "adj adm adv asst atty brig capt cmdr col comdr cpl dr drs ens esq gen gov govs hon insp jr"
_MORE_TITLES = "lieut lt ltd maj md messrs mlle mme mr mrs ms msgr pfc ph prof profs pvt rep reps rev"
_AND_MORE_TITLES = "sen sens sfc sgt spc sr st ste supt"
_BUSINESS = "al assn assoc bhd bldg bros cf cie co corp ct dept ed elec est etc ext ft inc intl invt"
_MORE_BUSINESS = "mfg mt mtg natl plc ppte ppty ptes pte pty ptys rd rt seq sq sys tel univ va vs vt"
_PLACES = "ala alex ariz ave blvd calif colo conn cos dak fla ga ind kan kans ky mich minn mo mont"
_MORE_PLACES = "neb nev okla penn tenn wis wisc wm wyo"
_DATES = "apr aug dec det feb fri jan jos jul jun mar mon nov oct pres sep sept thu thurs tue tues wed"
_ABBREVIATIONS = " ".join(
    (
        *(_TITLES, _MORE_TITLES, _AND_MORE_TITLES, _BUSINESS, _MORE_BUSINESS),
        *(_PLACES, _MORE_PLACES, _DATES),
    )
)
_CAPITALISED = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"
_BEFORE_A_NUMBER = "art ca fig figs no nos op pp prop"

_LETTER = r"(?:[^\W\d_][\u0300-\u036f]*)"
_WORD = rf"(?:(?:{_LETTER}|\d)+)"
_END = r"(?![^\W_])"
_PARTS = rf"(?:{_WORD}(?:[.!?](?={_LETTER}){_WORD}|[-_]{_WORD})*)"
_ABBREVIATED = rf"""(?:
    (?:{_LETTER}{{1,2}}(?:\.{_LETTER})+|{_LETTER}) \. (?!{_WORD})
    | (?i:{"|".join(sorted(_ABBREVIATIONS.split(), key=len, reverse=True))}) \. (?!{_WORD})
    | (?:{"|".join(f"{word}|{word.upper()}" for word in _CAPITALISED.split())}) \. (?!{_WORD})
    | (?i:{"|".join(sorted(_BEFORE_A_NUMBER.split(), key=len, reverse=True))}) \. (?=\s*\d)
)"""
_WITH_APOSTROPHE = rf"""(?i:
      [dlno]'{_LETTER}{{2,}} | c'(?:est|mon)\b | {_LETTER}{{2,}}(?<=[aeiouy])'(?=[aeiou]){_LETTER}+
    | e'er | ev'ry | li'l | nat'l | nor'easter | s'mores | (?:dunkin|ol|somethin)'
    | '[2-9]0s | '\d\d{_END} | 'n'?{_END} | 'em | 'till? | 'cause | y'(?={_LETTER})
)"""
_TOKEN = re.compile(
    rf"""
      https?://[^\s<>"|(){{}}]+[^\s<>"|(){{}}.,!?;:'-] | [\w.+-]+@[\w-]+(?:\.[\w-]+)+ | [@\#]{_LETTER}\w*
    | </?[A-Za-z][\w.:-]*\s*/?>
    | [:;=][-o*']?[()DPpdO\\|]{_END} | :3+{_END}
    # A joined negation, and the words that speech runs together.
    | (?:{_PARTS}[-.])?{_LETTER}(?:{_LETTER}|\d)*?(?=n't{_END}|N'T{_END}|N't{_END}) | (?i:n't){_END}
    | (?i: can(?=not{_END}) | (?<=can)not{_END} | gon(?=na{_END}) | got(?=ta{_END})
         | wan(?=na{_END}) | (?:lem|gim)(?=me{_END}) | 't(?=is|was) )
    | (?i:'(?:s|m|d|re|ve|ll)){_END}
    | {_WITH_APOSTROPHE}
    | {_ABBREVIATED}(?:-{_WORD})*
    # Numbers, with sign and with what joins digits; then money.
    | [-+]?(?:\d+(?:[.,:/-]\d+)*|\.\d+)(?:-{_WORD})*(?!{_LETTER}) | \d+:\d+
    | [A-Z]*\$
    # Words, hyphenated, with a slash or, in capitals, with an ampersand.
    | [A-Z]+(?:&[A-Z]+)+ | {_PARTS}(?:/{_PARTS}){{0,2}}
    | [?!]{{2,}} | \.{{3}} | -{{2}} | [_*]+
    | [^\w\s]
    """,
    re.VERBOSE,
)
