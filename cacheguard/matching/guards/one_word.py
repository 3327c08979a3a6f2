"""Long texts that are equal but for one word: made by one template, or one thing asked about two subjects."""

from __future__ import annotations

from typing import ClassVar

from cacheguard.matching.guards.base import Comparison
from cacheguard.matching.guards.wording import content

# Content words that both hold. Of pairs of qqp_a with a cosine of at least 0.9, 86 of 100 such differ in meaning; with
# six common words it is 75, and 19 right hits are lost for each 2 wrong ones on the streams.
_COMMON = 8


class OneWord(Comparison):
    """One content word stands in place of another, eight and more are the same. Any language with spaces.

    Of the pairs of qqp_a with a cosine of at least 0.9, it costs 18 of 6,172 right hits and stops 106 of 1,655 wrong
    ones.
    """

    name: ClassVar[str] = "one_word"

    def differ(self, asked: str, known: str) -> bool:
        ours, theirs = content(asked), content(known)
        return len(ours - theirs) == len(theirs - ours) == 1 and len(ours & theirs) >= _COMMON
