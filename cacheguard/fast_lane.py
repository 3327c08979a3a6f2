"""The fast lane: a request whose exact match is at hand; quicker still where it came before, to the byte.

It stands in front of the corridor for speed's sake. What the corridor made of a request's bytes, its route, scope and
question, is remembered; rule and decision are asked anew, as the corridor asks them. Whatever is not plain goes the
corridor's way.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from cacheguard.matching.decide import Hit, Match, decide

if TYPE_CHECKING:
    from cacheguard.matching.freshness import Directives
    from cacheguard.question import Question
    from cacheguard.request import Asked
    from cacheguard.routes import Route
    from cacheguard.scope import Scope
    from cacheguard.stores.first_level import FirstLevel

# Bytes of the bodies that are remembered: of 300 bytes each, some 25,000 requests, and 40 MB with what they came to.
_KEPT_BYTES: Final = 8_000_000
# Longer ones are conversations that nobody sends twice.
_LONGEST: Final = 4_000

Key = tuple[str, "str | None", bytes]


class Understood(NamedTuple):
    """What a request's bytes come to. model: that the client named."""

    route: Route
    scope: Scope
    question: Question
    model: str


class FastLane:
    """Remembers requests whose answer was an exact hit. kept_bytes: of their bodies; those asked last stay."""

    def __init__(self, rows: FirstLevel, *, kept_bytes: int = _KEPT_BYTES) -> None:
        self._rows = rows
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._understood: OrderedDict[Key, Understood] = OrderedDict()

    def learn(self, asked: Asked) -> None:
        """The request's answer was an exact hit."""
        request = asked.request
        key = (request.tenant, request.route, request.raw)
        if not _is_plain(asked) or not 0 < len(request.raw) <= _LONGEST or key in self._understood:
            return
        self._understood[key] = _understood(asked)
        self._bytes += len(request.raw)
        while self._bytes > self._kept_bytes:
            (_, _, raw), _ = self._understood.popitem(last=False)
            self._bytes -= len(raw)

    def find(self, key: Key, directives: Directives, now: float) -> tuple[Understood, Hit] | None:
        """The hit that the corridor would come to; None: ask it. now: Unix seconds."""
        understood = self._understood.get(key)
        if understood is None or not understood.route.rule.trusts_exact:
            return None
        self._understood.move_to_end(key)
        hit = self._hit(understood, directives, now)
        return (understood, hit) if hit else None

    def look(self, asked: Asked, now: float) -> tuple[Understood, Hit] | None:
        """The same of a request that did not come before; it is learnt."""
        if not _is_plain(asked) or not asked.route.rule.trusts_exact:
            return None
        understood = _understood(asked)
        hit = self._hit(understood, asked.request.directives, now)
        if hit is None:
            return None
        self.learn(asked)
        return understood, hit

    def _hit(self, understood: Understood, directives: Directives, now: float) -> Hit | None:
        route, scope, question, _ = understood
        try:
            known = self._rows.at_hand(scope.key, question.key)
        except Exception:  # noqa: BLE001 - the border: the corridor meets it too, and counts it
            return None
        if known is None:
            return None
        match = Match(known.phrasing, known.answer, similarity=1.0, exact=True)
        decision = decide(route.rule.judge(question, [match], now), terms=route.terms, directives=directives, now=now)
        return decision if isinstance(decision, Hit) else None


def _is_plain(asked: Asked) -> bool:
    """Whether an exact hit is all that is to be said to it."""
    route = asked.route
    return route.refresh_ahead_hits is None and route.mode.reads and not asked.request.wants_stream


def _understood(asked: Asked) -> Understood:
    return Understood(asked.route, asked.scope, asked.question, asked.request.body["model"])
