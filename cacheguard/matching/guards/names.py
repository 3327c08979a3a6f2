"""Proper names and codes that differ."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import ClassVar

from cacheguard.matching.guards.base import Comparison
from cacheguard.matching.guards.wording import REMEMBERED, is_content, may_be_english, overlap, words

_TOKEN = re.compile(r"[^\W_]+(?:[-&'’.][^\W_]+)*")
_MAY_NAME = re.compile(r"[\dA-Z]|[^\x00-\x7f]")
_MEASURE = re.compile(r"\d+(?:st|nd|rd|th|[a-z]{1,2})", re.IGNORECASE)
# A sentence begins after these.
_BEGINNINGS = frozenset('.!?:;"“«(`')
_NO_NAMES = frozenset({"i", "i'd", "i'll", "ok", "faq", "pls", "hi", "hello", "thanks"})
# Where more of the words begin with a capital, it marks no name.
_MOST_CAPITALS = 0.6
# The question has a name, the phrasing none: of such pairs of qqp_a (cosine ≥ 0.9) whose content overlaps this much,
# 57 of 100 differ in meaning; of all, 42.
_ALIKE = 0.6


class Names(Comparison):
    """Each text has a name that the other lacks; or the question has, and little else differs.

    Names are told by capitals, which mean something else in German: not where a text is surely in another language
    than English. Of the pairs of qqp_a with a cosine of at least 0.9, it costs 97 of 6,172 right hits and stops 289 of
    1,655 wrong ones. Quoted strings are no names: to object to those would cost 21 and stop 8.
    """

    name: ClassVar[str] = "names"

    def differ(self, asked: str, known: str) -> bool:
        if not lacks_a_name(known, of=asked):
            return False
        return (
            (lacks_a_name(asked, of=known) or overlap(asked, known) >= _ALIKE)
            and may_be_english(asked)
            and may_be_english(known)
        )


def lacks_a_name(text: str, *, of: str) -> bool:
    """Whether the other text has a name that this one lacks."""
    return any(_lacks(text, name) for name in _names(of))


@lru_cache(REMEMBERED)
def _names(text: str) -> frozenset[str]:
    """In lower case, letters and digits only."""
    if not _MAY_NAME.search(text[1:]):
        return frozenset()
    tokens = list(_TOKEN.finditer(text))
    lettered = [token[0] for token in tokens if token[0][0].isalpha()]
    if sum(word[0].isupper() for word in lettered) > max(2, _MOST_CAPITALS * len(lettered)):
        return frozenset()
    borders = [0, *(token.end() for token in tokens)]
    return frozenset(
        _plain(token[0])
        for token, border in zip(tokens, borders, strict=False)
        if _is_name(token[0], begins=border == 0 or text[border : token.start()].rstrip()[-1:] in _BEGINNINGS)
    )


def _is_name(token: str, *, begins: bool) -> bool:
    """begins: it is the first of its sentence, whose capital says nothing."""
    lower = token.lower().replace("’", "'")
    if lower in _NO_NAMES:
        return False
    if any(map(str.isupper, token[1:])):
        return True
    if any(map(str.isdigit, token)):
        return any(map(str.isalpha, token)) and not _MEASURE.fullmatch(token)
    return not begins and token[0].isupper() and is_content(lower)


def _lacks(text: str, name: str) -> bool:
    flat, initials = _forms(text)
    return name not in flat and name.removesuffix("s") not in flat and name not in initials


@lru_cache(REMEMBERED)
def _forms(text: str) -> tuple[str, str]:
    """Without what stands between words, and the words' initials: SF is in «San Francisco»."""
    return _plain(text), "".join(word[0] for word in words(text))


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower().removesuffix("'s").removesuffix("’s")))
