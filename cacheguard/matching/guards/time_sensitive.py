"""Wording whose answer changes with time: «today», «latest», the current year."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, ClassVar

from cacheguard.matching.guards.wording import REMEMBERED, may_be_english

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.matching.decide import Match
    from cacheguard.question import Question

_MINUTES_S, _HOUR_S, _HOURS_S, _WEEK_S = 600, 3600, 21_600, 604_800
# What holds for how long, in seconds. No public set says how fast answers age: these are chosen, on the short side.
_HOLDS_S = (
    (r"right now|at the moment|as of now|current(?:ly)?(?! accounts?\b)", _MINUTES_S),
    (r"today(?:'s)?|tonight(?:'s)?|tomorrow(?:'s)?", _HOUR_S),
    (r"latest|newest|most recent|so far|this week(?:end)?|next week(?:end)?|upcoming|these days|nowadays", _HOURS_S),
    (r"this (?:month|quarter|season|year)|next (?:month|year)", _WEEK_S),
)
_PATTERNS = tuple((re.compile(rf"\b(?:{words})\b"), holds_s) for words, holds_s in _HOLDS_S)
# Most texts say nothing of the kind, and need not be searched for each. Without borders, a search takes half the time.
_MAY_SAY = re.compile("|".join(words for words, _ in _HOLDS_S))
_YEAR = re.compile(r"\b20\d\d\b")
# Who tells what happened, «my card was declined today», asks for no news: 46 of the 50 questions of banking77 that say
# one of the words above do.
_TOLD = re.compile(r"\b(?:i|i've|my|me|we|our)\b")


class TimeSensitive:
    """The answer is older than the question's wording allows, or that of every phrasing. English, but for years.

    A year counts when it was not over as the answer was written. With answers that are a day old, it costs 4 of 2,076
    right hits of vira and banking77, whose answers never change, and 50 of 6,172 of qqp_a.
    """

    name: ClassVar[str] = "time_sensitive"

    def objects(self, question: Question, matches: Sequence[Match], now: float) -> bool:
        written = matches[0].answer.refreshed_at
        age_s = now - written
        return age_s > holds_s(question.text, written) or all(
            age_s > holds_s(match.phrasing.text, written) for match in matches
        )


def holds_s(text: str, written: float) -> float:
    """How long an answer written at that time, in Unix seconds, holds for such a question."""
    worded_s, years = _wording(text)
    if years and max(years) >= datetime.fromtimestamp(written, UTC).year:
        return min(worded_s, _WEEK_S)
    return worded_s


@lru_cache(REMEMBERED)
def _wording(text: str) -> tuple[float, tuple[int, ...]]:
    """How long its words let an answer hold, in seconds, and the years that it names."""
    years = tuple(int(year) for year in _YEAR.findall(text)) if "20" in text else ()
    plain = text.lower().replace("’", "'")  # a search that tells no case apart takes twice as long
    if not _MAY_SAY.search(plain):
        return inf, years
    held_s = [holds_s for pattern, holds_s in _PATTERNS if pattern.search(plain)]
    if not held_s or _TOLD.search(plain) or not may_be_english(text):
        return inf, years
    return held_s[0], years
