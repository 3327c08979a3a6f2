"""What one person asks about their own data: «where is my order 4411?», «what is my balance?»"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from cacheguard.matching.guards.wording import REMEMBERED, may_be_english

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.matching.decide import Match
    from cacheguard.question import Question

_CASE = (
    r"(?:order|ticket|case|booking|reservation|invoice|tracking|claim|policy|parcel|package|shipment|appointment"
    r"|transaction|account|customer|member(?:ship)?|loan)"
)
_VALUE = (
    r"(?:balance|name|address|e-?mail(?: address)?|(?:phone|account|card|customer|order|policy|tracking) number"
    r"|iban|pin|salary|scores?|grades?|bill|plan|appointments?|orders?|booking|statement|points|subscription|age|birthday"
    r"|due date|schedule|calendar)"
)
# An answer that explains how such a thing comes about is for everybody.
_EXPLAINED = r"(?! (?:not|still|being|n't|gone|wrong|different|incorrect|declined|pending|failing|for|if|when|to)\b)"
# Identifiers say whose data is meant in any language.
_IDENTIFIED = re.compile(
    rf"\b{_CASE}(?: (?:number|no\.?|nr\.?|id|code|reference))?(?: is|:)? ?[#№]?(?=[\w-]{{0,40}}\d{{3}})[\w-]+"
    r"|\b[\w.+-]{1,64}@[\w-]+\.\w"
    r"|\b(?:\d[ -]?){9,}\b"
    r"|\b[a-z]{2}\d\d(?: ?\w{4}){3,}",
    re.IGNORECASE,
)
# Few texts hold any of these, and most need not be searched for the long patterns.
_HAS_MARK = re.compile(r"[\d@]")
_SPEAKS = re.compile(r"\b(?:my|(?:do|did|have|am) i)\b", re.IGNORECASE)
_OWN = re.compile(
    r"\b(?:what(?:'s| is| are| was| were)|show(?: me)?|tell me|list|give me|display|read(?: me)?|when(?:'s| is| are)"
    r"|do you (?:know|remember)|how (?:much|high|big) is)(?: (?:about|the|status|of|current|total)){0,3}"
    rf" my (?:\w+ ){{0,2}}?{_VALUE}\b{_EXPLAINED}"
    r"|\bhow (?:much|many)(?: \w+){0,2} (?:do|did|have) i (?:have|owe|earn|own|spend|spent)\b(?! to\b)"
    r"|\bwho am i\b"
    r"|\bwhere(?:'s| is| are) my (?:\w+ )?(?:orders?|packages?|parcels?|delivery|shipments?)\b"
    r"|\bstatus of my\b|^my (?:\w+ )?(?:balance|status)\W*$",
    re.IGNORECASE,
)


class Personal:
    """The question asks for data of the asker's own, or every phrasing does. English, but for identifiers.

    The answer may hold somebody's data, so that even the very same words are asked anew. «How do I change my PIN?»
    has one answer for all. It costs 1 of 2,076 right hits of vira and banking77, and 1 of 6,172 of qqp_a.
    """

    name: ClassVar[str] = "personal"

    def objects(self, question: Question, matches: Sequence[Match], now: float) -> bool:  # noqa: ARG002 - the protocol's
        return is_personal(question) or all(_is_own(match.phrasing.text) for match in matches)


def is_personal(question: Question) -> bool:
    """Whether one person asks about their own data."""
    return _is_own(question.text)


@lru_cache(REMEMBERED)
def _is_own(text: str) -> bool:
    if _HAS_MARK.search(text) and _IDENTIFIED.search(text):
        return True
    plain = text.replace("’", "'")
    return _SPEAKS.search(plain) is not None and _OWN.search(plain) is not None and may_be_english(text)
