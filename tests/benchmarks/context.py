"""What does each way of counting earlier turns serve in conversations, and how much of it is wrong?

Run it with `python -m tests.benchmarks context`; it needs the public dialogs (CACHEGUARD_DATA): TREC CAsT 2019 to 2021,
where a person wrote for every turn what it would be as a question that stands alone. The cache holds every dialog, turn
by turn, and every stand-alone question as a first turn of somebody else. A hit is wrong when its answer is for another
stand-alone question, as it is told by its folded text: the strictest reading, as a few differ in a word that says
nothing new.

- own: each turn behind its own dialog's turns, by someone whose dialog the cache does not hold.
- again: the same, where it does hold the dialog, and users' words come in capitals.
- greeted: the dialog that it holds begins with «Hi» this time.
- elsewhere: each later turn behind the turns of another dialog. Right is only who needs no turn before it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from cacheguard.matching.self_contained import is_self_contained
from cacheguard.question import Context, fold, read_question, without_earlier
from cacheguard.scope import scope_of
from embeddings.opening import open_embedder
from tests.benchmarks.threshold import DATA, embedded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cacheguard.question import Question

# Cosine from which a phrasing is served that is not exact: far fewer than a tuned route serves.
NEAR = 0.97
FIRST = ""  # who asked a stand-alone question first


@dataclass(frozen=True, slots=True)
class Turn:
    """messages: the conversation up to and with this turn. meaning: its stand-alone question, folded."""

    dialog: str
    messages: list[dict[str, str]]
    meaning: str

    @property
    def needs_earlier(self) -> bool:
        return fold(self.messages[-1]["content"]) != self.meaning


@dataclass(slots=True)
class Cache:
    """Phrasings by scope, each with the dialog that it is of, its key, its vector and its answer's meaning."""

    context: Context
    vector: Callable[[str], np.ndarray]
    by_scope: dict[str, list[tuple[str, str, np.ndarray, str]]] = field(default_factory=lambda: defaultdict(list))

    def keep(self, turn: Turn) -> None:
        scope, question = self._asked(turn.messages)
        self.by_scope[scope].append((turn.dialog, question.key, self.vector(question.key), turn.meaning))

    def served(self, messages: list[dict[str, str]], without: str | None = None) -> str | None:
        """The meaning of the answer that these get. without: a dialog that the cache does not hold."""
        scope, question = self._asked(messages)
        meaning = self._nearest(scope, question, without)
        if meaning is None and self.context == "chain" and question.earlier and is_self_contained(question):
            return self._nearest(*self._asked(without_earlier(messages)), without)
        return meaning

    def _asked(self, messages: list[dict[str, str]]) -> tuple[str, Question]:
        question = read_question(messages)
        return scope_of("", "", {"messages": messages}, question, self.context).key, question

    def _nearest(self, scope: str, question: Question, without: str | None) -> str | None:
        kept = [one for one in self.by_scope.get(scope, ()) if one[0] != without]
        if not kept:
            return None
        exact = [meaning for _, key, _, meaning in kept if key == question.key]
        if exact:
            return exact[0]
        similarity = np.array([vector for _, _, vector, _ in kept]) @ self.vector(question.key)
        return kept[similarity.argmax()][3] if similarity.max() >= NEAR else None


def read() -> list[list[Turn]]:
    with gzip.open(DATA / "dialogs" / "cast_2019_2021.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [list(turns(json.loads(line))) for line in lines]


def turns(dialog: dict) -> Iterator[Turn]:
    said: list[dict[str, str]] = []
    for turn in dialog["turns"]:
        said.append({"role": "user", "content": turn["user"]})
        yield Turn(dialog["dialog"], list(said), fold(turn["standalone"]))
        if turn["reply"]:
            said.append({"role": "assistant", "content": turn["reply"]})


def in_capitals(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**one, "content": one["content"].upper()} if one["role"] == "user" else one for one in messages]


def greeted(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}, *messages]


def tallies(cache: Cache, dialogs: list[list[Turn]]) -> dict[str, tuple[int, int, int]]:
    """Asked, served right, served wrong, for each way of asking."""
    every = [turn for dialog in dialogs for turn in dialog]
    own = [(turn, cache.served(turn.messages, without=turn.dialog)) for turn in every]
    again = [(turn, cache.served(in_capitals(turn.messages))) for turn in every]
    behind_hi = [(turn, cache.served(greeted(turn.messages))) for turn in every]
    elsewhere = []
    for dialog, other in zip(dialogs, [*dialogs[1:], dialogs[0]], strict=True):
        for at, turn in enumerate(dialog[1:], start=1):
            before = other[min(at, len(other)) - 1].messages
            meaning = cache.served([*before, turn.messages[-1]])
            elsewhere.append((turn, "another" if meaning is not None and turn.needs_earlier else meaning))
    return {
        name: (
            len(found),
            sum(meaning == turn.meaning for turn, meaning in found),
            sum(meaning not in {None, turn.meaning} for turn, meaning in found),
        )
        for name, found in {"own": own, "again": again, "greeted": behind_hi, "elsewhere": elsewhere}.items()
    }


async def main() -> None:
    dialogs = read()
    every = [turn for dialog in dialogs for turn in dialog]
    texts = {fold(text): text for turn in every for text in (turn.messages[-1]["content"], turn.meaning)}
    embedder = await open_embedder("bundled")
    try:
        vectors = dict(zip(texts, await embedded(embedder, list(texts.values()), "dialogs"), strict=True))
    finally:
        await embedder.aclose()
    shown = Table("context", "asked", title=f"{len(dialogs)} dialogs", title_justify="left")
    for heading in ("turns", "right", "wrong"):
        shown.add_column(heading, justify="right")
    for context in get_args(Context):
        cache = Cache(context, vectors.__getitem__)
        for turn in every:
            cache.keep(turn)
            cache.keep(Turn(FIRST, [{"role": "user", "content": turn.meaning}], turn.meaning))
        for name, counts in tallies(cache, dialogs).items():
            shown.add_row(context, name, *(f"{count:,}" for count in counts))
    Console().print(shown)


if __name__ == "__main__":
    asyncio.run(main())
