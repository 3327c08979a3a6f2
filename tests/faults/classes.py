"""What follows from each class of failure, as the design's table has it.

Nothing here reads the service's own table: the two are written down apart, and meet in the fault matrix.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

PLACES = ("first", "second", "third")
# The last tier takes longer prompts than the two before it.
WINDOWS = {"first": 100_000, "second": 100_000, "third": 200_000}
# Calls for one request.
MOST_CALLS = 4

# What the client gets.
ANSWER, STALE_ANSWER, BROKEN = "the answer", "the stale answer", "an error event"
NOBODY, AS_IT_CAME = "503 all_tiers_failed", "what came"
# For how long a tier is left alone, and in how long the client is told to come back.
SOON, HINTED, LONG = "soon", "as hinted", "long"
# How an answer ends whose reason to end nobody knows.
UNKNOWN = "no known end"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    again: the same tier is asked once more. told: with what was wrong in the prompt. larger: of the tiers behind it,
    only those with a larger window are asked. vote: against the tier. block: how long its key is left alone.
    instead: what the client gets when no tier is left. finish: of an answer that is given as it came.
    """

    failure: str
    again: bool = False
    told: bool = False
    next_tier: bool = True
    larger: bool = False
    vote: str = ""
    block: str = ""
    instead: str = NOBODY
    finish: str = "stop"


LINES = {
    "transport": Line("transport", again=True, vote="transport"),
    "slow": Line("slow", vote="slow"),
    "rate_limit": Line("rate_limit", block=HINTED),
    "rate_limit, the wait fits": Line("rate_limit", again=True),
    "quota": Line("quota", block=LONG),
    "auth": Line("auth", block=LONG),
    "auth, another key": Line("auth", again=True, block=LONG),
    "bad_request": Line("bad_request", next_tier=False, instead="400"),
    "bad_request, unknown model": Line("bad_request"),
    "context_length": Line("context_length", larger=True, instead="400 context_length_exceeded"),
    "content_filter": Line("content_filter", next_tier=False, instead=AS_IT_CAME, finish="content_filter"),
    "content_filter, nothing came": Line("content_filter", next_tier=False, instead="400 content_filter"),
    "refusal": Line("refusal", instead=AS_IT_CAME),
    "schema": Line("schema", again=True, told=True, vote="content"),
    "empty": Line("empty", vote="content"),
    "truncated, by length": Line("truncated", again=True, instead=AS_IT_CAME, finish="length"),
    "truncated, unknown end": Line("truncated", instead=AS_IT_CAME, finish=UNKNOWN),
    "truncated, a stream without marker": Line("truncated", vote="content"),
    "rejected": Line("rejected"),
}
# How the first tier is out where the second one is looked at.
OUTAGE = LINES["rate_limit"]


@dataclass(slots=True)
class Outcome:
    """What came of one request. Keys name places.

    attempts: (place, class or «answered»), in order, as the trace tells them; counted: as the metrics do. calls: that
    the hosts had. votes: (place, vote), against tiers. blocks: (place, how long), of keys. told: calls whose prompt
    says what was wrong with the answer before.
    """

    client: str = ""
    attempts: list[tuple[str, str]] = field(default_factory=list)
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    votes: Counter[tuple[str, str]] = field(default_factory=Counter)
    blocks: Counter[tuple[str, str]] = field(default_factory=Counter)
    told: int = 0
    stored: bool = False

    def tried(self, place, line, *, is_called):
        self.attempts.append((place, line.failure))
        self.counted[place, line.failure] += 1
        if is_called:
            self.calls[place] += 1
        if line.vote:
            self.votes[place, line.vote] += 1
        if line.block:
            self.blocks[place, line.block] += 1


def outcome(fault, tiers, *, spoken="", is_called=True, is_stale=False):
    """What the table says of a request. tiers: the line that each follows, None for one that answers.

    fault: the line that is looked at. spoken: what the client gets where it has the fault's first words already, so
    that no other tier can take over. is_called: the fault's host is there. is_stale: an earlier answer stands by.
    """
    came = Outcome()
    window = 0
    for later, place, line in zip((2, 1, 0), PLACES, tiers, strict=True):
        if WINDOWS[place] <= window:
            continue
        if line is None:
            came.tried(place, Line("answered"), is_called=True)
            came.client, came.stored = ANSWER, True
            return came
        is_there = is_called or line is not fault
        came.tried(place, line, is_called=is_there)
        if spoken and line is fault:
            came.client = BROKEN if spoken == BROKEN else f"{AS_IT_CAME}, {fault.finish}"
            return came
        if line.again and MOST_CALLS - len(came.attempts) > later:  # every tier behind it is to be asked once
            came.tried(place, line, is_called=is_there)
            came.told += line.told
        if line.larger:
            window = WINDOWS[place]
        if not line.next_tier:
            break
    came.client = _without_a_tier(fault, is_stale=is_stale)
    return came


def _without_a_tier(fault, *, is_stale):
    """An earlier answer stands in for tiers, but answers no request that is itself at fault."""
    if is_stale and fault.next_tier and not fault.instead.startswith("400"):
        return STALE_ANSWER
    if fault.instead == NOBODY:
        has_spare_key = fault.again  # of the tiers that no second call was left for
        return f"{NOBODY}, {SOON if has_spare_key else fault.block or SOON}"
    return f"{AS_IT_CAME}, {fault.finish}" if fault.instead == AS_IT_CAME else fault.instead
