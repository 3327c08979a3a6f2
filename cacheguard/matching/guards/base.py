"""What a guard is: it objects to an answer whatever its confidence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.matching.decide import Match
    from cacheguard.question import Question


class Guard(Protocol):
    """name: as settings and traces know it. heeds_exact: it may object to an answer for the very same words too."""

    name: ClassVar[str]
    heeds_exact: ClassVar[bool]

    def objects(self, question: Question, matches: Sequence[Match], now: float) -> bool:
        """Whether the answer is not for this question. matches: its phrasings near the question, at least one,
        nearest first. now: Unix seconds.
        """
        ...


class Comparison(ABC):
    """A guard that holds the question against each phrasing, and is content when one of them agrees.

    People ask for one answer with and without its number, name or «not». Against the nearest phrasing alone, the
    difference in negation would cost 7 of 100 right hits of vira and banking77 and stop 10 of 100 wrong ones.
    """

    name: ClassVar[str]
    heeds_exact: ClassVar[bool] = False

    def objects(self, question: Question, matches: Sequence[Match], now: float) -> bool:  # noqa: ARG002 - the protocol's
        if any(match.exact for match in matches):
            return False
        return all(self.differ(question.text, match.phrasing.text) for match in matches)

    @abstractmethod
    def differ(self, asked: str, known: str) -> bool:
        """Whether two texts can't mean the same."""
