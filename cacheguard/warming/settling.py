"""Which of several answers to one question is kept: what people said of them, what most say, what is newest."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from cacheguard.matching.guards.negation import Negation
from cacheguard.matching.guards.wording import is_content, stem, words
from cacheguard.question import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cacheguard.warming.exchanges import Candidate

# Of words in common from which two texts say the same: the cosine of their sets of content words. Their embeddings
# would say it better, and cost more than all questions': answers are ten times as long.
AGREE: Final = 0.6
# Candidates of one question that are compared with each other: the newest.
_COMPARED: Final = 16
# Of what is given, this share must agree for its word to count over the others'.
_MOST: Final = 2 / 3
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_READ: Final = 2_000  # characters: an answer says early what it says
_ENOUGH: Final = 50  # answers by which words are weighed
_SHORT: Final = 200  # in longer texts somebody says «not» somewhere
_NEGATION: Final = Negation()


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer that a question has. id: as in the log, "" where it names none. score: what people said of it."""

    id: str
    text: str
    at: float | None
    model: str
    score: int


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A question whose answers contradict each other. texts: two of them, or their ids where the log gives ids."""

    texts: tuple[str, str]


class Sense(NamedTuple):
    """What of an answer is compared with others. start: more of a long one than of any short one. key: the hash of all
    of it, folded. words: those that say what it is about, and its numbers.
    """

    start: str
    key: int
    numbers: frozenset[str]
    words: frozenset[str]
    is_json: bool


def sense_of(text: str) -> Sense:
    numbers = frozenset(found.strip(".,").replace(",", "") for found in _NUMBER.findall(text))
    # Read anew each time: what guards remember of texts is meant for questions, which are short.
    said = {sys.intern(stem(word)) for word in words.__wrapped__(text[:_READ]) if is_content(word)}
    return Sense(text[: _SHORT + 1], hash(fold(text)), numbers, frozenset(said | numbers), _is_json(text))


@dataclass(frozen=True, slots=True)
class Rarity:
    """How much words say: little, where many answers hold them. weights: by word. other: of those not counted."""

    weights: Mapping[str, float]
    other: float

    def of(self, words: Iterable[str]) -> float:
        """Of a set of words, as the square of a length."""
        return sum([self.weights.get(word, self.other) ** 2 for word in words])


EVEN: Final = Rarity({}, 1.0)


def rarity(texts: Iterable[str]) -> Rarity:
    """By some answers of a log; few say nothing of how usual a word is. Source: Sparck Jones 1972, idf."""
    held = Counter[str]()
    number = 0
    for number, text in enumerate(texts, 1):  # noqa: B007 - how many there are
        held.update(sense_of(text).words)
    if number < _ENOUGH:
        return EVEN
    return Rarity({word: math.log(number / among) for word, among in held.items()}, math.log(number))


def agreement(one: Sense, other: Sense, rarity: Rarity) -> float:
    """In [0, 1]: whether two answers say the same. Other numbers, or JSON that differs, are other answers."""
    if one.key == other.key:
        return 1.0
    shared = one.words & other.words
    if not shared or one.numbers != other.numbers or one.is_json or other.is_json:
        return 0.0
    in_both = rarity.of(shared) / math.sqrt(rarity.of(one.words) * rarity.of(other.words) or 1)
    are_short = max(len(one.start), len(other.start)) <= _SHORT
    if in_both >= AGREE and are_short and _NEGATION.differ(one.start, other.start):
        return 0.0
    return in_both


def settle(candidates: Sequence[Candidate]) -> Settled | Unsettled:
    """Of what a question was answered, what was given last coming last. Not empty.

    Answers that more people called wrong than right don't count. Where the log names ids, two of them contradict each
    other unless people prefer one. Without ids a model may word one answer in many ways: what most agree with is kept;
    where an answer changed and stayed so, the new one; where neither is so, none.
    """
    liked = [one for one in candidates if one.praised >= one.blamed] or list(candidates)
    best = max(one.praised - one.blamed for one in liked)
    if best > 0:
        liked = [one for one in liked if one.praised - one.blamed == best]
    ids = list(dict.fromkeys(one.source_id for one in liked if one.source_id))
    if len(ids) > 1:
        return Unsettled((ids[0], ids[1]))
    if ids:
        return _settled(next(one for one in reversed(liked) if one.source_id))
    return _among(liked[-_COMPARED:])


def _among(candidates: Sequence[Candidate]) -> Settled | Unsettled:
    if len(candidates) == 1:
        return _settled(candidates[0])
    senses = [sense_of(one.text) for one in candidates]
    agrees = _agreements(senses)
    given = [one.given for one in candidates]
    backing = [sum(number for number, same in zip(given, row, strict=True) if same) for row in agrees]
    middle = max(range(len(candidates)), key=lambda at: (backing[at], candidates[at].last))
    camp = [one for one, same in zip(candidates, agrees[middle], strict=True) if same]
    others = [one for one, same in zip(candidates, agrees[middle], strict=True) if not same]
    if not others or backing[middle] >= _MOST * sum(given):
        newest = [at for at in range(len(candidates)) if backing[at] == backing[middle]][-1]
        return _settled(candidates[newest])
    newest_camp = [one for at, one in enumerate(candidates) if agrees[-1][at]]
    before = [one for at, one in enumerate(candidates) if not agrees[-1][at]]
    if sum(one.given for one in newest_camp) > 1 and _first_after(newest_camp, before):
        return _settled(candidates[-1])
    return Unsettled((camp[-1].text, others[-1].text))


def _agreements(senses: Sequence[Sense]) -> list[list[bool]]:
    """Whether each of them agrees with each."""
    agrees = [[True] * len(senses) for _ in senses]
    for at, one in enumerate(senses):
        for before in range(at):
            agrees[at][before] = agrees[before][at] = agreement(one, senses[before], EVEN) >= AGREE
    return agrees


def _first_after(newest: Sequence[Candidate], before: Sequence[Candidate]) -> bool:
    """Whether nothing else was said since the newest answers began."""
    return min(one.last for one in newest) > max(one.last for one in before)


def _settled(one: Candidate) -> Settled:
    return Settled(one.source_id, one.text, one.at, one.model, one.praised - one.blamed)


def _is_json(text: str) -> bool:
    if text[:1] not in {"{", "["}:
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
