"""Who asks what, when: questions by Zipf's law over a day with quiet and busy hours, some wanting JSON or a stream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Any

from cacheguard.simulate import Answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUESTIONS = 3000
# One of so many questions wants its answer as JSON.
JSON_EVERY = 5
AS_JSON = "Say it as JSON."
STREAMED_SHARE = 0.2
FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "told",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"answer": {"type": "string"}, "sure": {"type": "boolean"}},
            "required": ["answer", "sure"],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True, slots=True)
class Asking:
    """One request. at: seconds since the beginning."""

    at: float
    route: str
    question: int
    is_streamed: bool

    @property
    def wants_json(self) -> bool:
        return self.question % JSON_EVERY == 0

    @property
    def body(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": prompt(self.question)}]
        form = {"response_format": FORM} if self.wants_json else {}
        return {"model": self.route, "messages": messages, "stream": self.is_streamed, **form}


def traffic(
    count: int, busyness: Sequence[float], span_s: float, routes: Mapping[str, float], seed: int
) -> list[Asking]:
    """In the order of time. busyness: of equal parts of the span, against each other. routes: with their shares."""
    random = Random(seed)
    part_s = span_s / len(busyness)
    parts = random.choices(range(len(busyness)), busyness, k=count)
    at = sorted((part + random.random()) * part_s for part in parts)
    popularity = list(accumulate(1 / rank for rank in range(1, QUESTIONS + 1)))
    questions = random.choices(range(QUESTIONS), cum_weights=popularity, k=count)
    taken = random.choices(list(routes), list(routes.values()), k=count)
    return [
        Asking(when, route, question, is_streamed=question % JSON_EVERY != 0 and random.random() < STREAMED_SHARE)
        for when, route, question in zip(at, taken, questions, strict=True)
    ]


def prompt(question: int) -> str:
    return f"What is known of matter {question}?{'' if question % JSON_EVERY else f' {AS_JSON}'}"


def answers() -> Answers:
    """What the providers say when they are well: fourteen words, as JSON where that is wanted."""
    return Answers((prompt(question), _answer(question)) for question in range(QUESTIONS))


def _answer(question: int) -> str:
    text = f"Of matter {question} it is known that every word of this answer takes its time."
    return text if question % JSON_EVERY else json.dumps({"answer": text, "sure": True})
