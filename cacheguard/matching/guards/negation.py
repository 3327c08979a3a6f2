"""One says «not», the other doesn't."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import ClassVar

from cacheguard.matching.guards.base import Comparison
from cacheguard.matching.guards.wording import REMEMBERED, may_be_english, overlap

_NEGATION = re.compile(
    r"\b(?:not|never|no|none|nobody|nothing|neither|nor|without|cannot|unable|[a-z]+n't"
    r"|(?:do|ca|wo|does|did|is|are|have|has|should|could|would)nt)\b"
)
# These say nothing of the kind, or of the asker only.
_IDIOM = re.compile(
    r"\b(?:or not|not only|why (?:don't|not)|do(?:n't| not) (?:know|understand|see|think|want)|not sure|no longer"
    r"|no matter|no one knows)\b"
)
# Of pairs of qqp_a with a cosine of at least 0.9, 54 of 100 that differ in negation and overlap this much differ in
# meaning; with less overlap, 33: «how do I …» is then «why can't I …».
_ALIKE = 0.8


class Negation(Comparison):
    """Nearly the same words, negated in one text only. English.

    Of the pairs of qqp_a with a cosine of at least 0.9, it costs 29 of 6,172 right hits and stops 32 of 1,655 wrong
    ones.
    """

    name: ClassVar[str] = "negation"

    def differ(self, asked: str, known: str) -> bool:
        return (
            is_negated(asked) != is_negated(known)
            and overlap(asked, known) >= _ALIKE
            and may_be_english(asked)
            and may_be_english(known)
        )


@lru_cache(REMEMBERED)
def is_negated(text: str) -> bool:
    plain = text.lower().replace("’", "'")
    return _NEGATION.search(plain) is not None and _NEGATION.search(_IDIOM.sub(" ", plain)) is not None
