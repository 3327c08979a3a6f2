"""May an answer be given to this question at all, however sure the rule is? One small file per guard.

`python -m tests.benchmarks guards` measures what each costs in right hits and saves in wrong ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.matching.guards.direction import Direction
from cacheguard.matching.guards.language import Language
from cacheguard.matching.guards.names import Names
from cacheguard.matching.guards.negation import Negation
from cacheguard.matching.guards.numbers import Numbers
from cacheguard.matching.guards.one_word import OneWord
from cacheguard.matching.guards.personal import Personal
from cacheguard.matching.guards.time_sensitive import TimeSensitive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cacheguard.matching.decide import Match
    from cacheguard.matching.guards.base import Guard
    from cacheguard.question import Question

# In this order they are asked, cheap ones first.
GUARDS: Mapping[str, Callable[[], Guard]] = {
    guard.name: guard for guard in (Numbers, Negation, OneWord, Direction, Names, TimeSensitive, Personal, Language)
}


def make_guards(names: Iterable[str]) -> tuple[Guard, ...]:
    """Guards by their names, each once, in the order in which they are asked."""
    wanted = set(names)
    return tuple(make() for name, make in GUARDS.items() if name in wanted)


def first_veto(question: Question, matches: Sequence[Match], guards: Iterable[Guard], now: float) -> str:
    """The name of the first guard that objects to an answer, or "".

    matches: the answer's phrasings near the question, at least one, nearest first. now: Unix seconds.
    """
    return next((guard.name for guard in guards if guard.objects(question, matches, now)), "")
