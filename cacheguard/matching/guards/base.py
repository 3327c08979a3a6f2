"""What a guard is: it objects to an answer whatever its confidence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.matching.decide import Match
    from cacheguard.question import Question


class Guard(Protocol):
    """name: as settings and traces know it."""

    name: ClassVar[str]

    def objects(self, question: Question, matches: Sequence[Match], now: float) -> bool:
        """Whether the answer is not for this question.

        matches: its phrasings near the question, at least one, nearest first. now: Unix seconds.
        """
        ...


class Comparison(ABC):
    """A guard that holds the question against each phrasing, and is content when one of them agrees.

    People ask for one answer with and without its number, name or «not». An objection to every difference in negation
    would cost 173 of 2,118 right hits of vira and banking77 and stop 27 of 202 wrong ones, if the nearest phrasing
    alone were looked at; with those of the answer among the twenty nearest, it costs 18 and stops 9.
    """

    name: ClassVar[str]

    def objects(self, question: Question, matches: Sequence[Match], now: float) -> bool:  # noqa: ARG002 - the protocol's
        if any(match.exact for match in matches):
            return False
        return all(self.differ(question.text, match.phrasing.text) for match in matches)

    @abstractmethod
    def differ(self, asked: str, known: str) -> bool:
        """Whether two texts can't mean the same."""
