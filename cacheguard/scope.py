"""Who asks, on which route, under which conditions: the partition that a request may read and write.

Every field of a request is part of the scope, part of the question, without bearing on the answer, or a reason to
leave the cache alone. A field that this file doesn't know is part of the scope: a lost hit is cheaper than a wrong one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, assert_never

from cacheguard.question import INSTRUCTIONS, fold, last_turn, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheguard.question import Context, Question


class Bearing(Enum):
    """What a field of a request means to the cache."""

    SCOPE = "scope"
    QUESTION = "question"
    NONE = "none"
    BYPASS = "bypass"


# OpenAI's chat completion request, field by field; a test holds it against the official client's.
FIELDS: Mapping[str, Bearing] = {
    "messages": Bearing.QUESTION,  # system and developer messages, and the earlier turns that count, join the scope
    # which words and which form the answer may have
    "response_format": Bearing.SCOPE,
    "max_tokens": Bearing.SCOPE,
    "max_completion_tokens": Bearing.SCOPE,
    "stop": Bearing.SCOPE,
    "logit_bias": Bearing.SCOPE,
    "verbosity": Bearing.SCOPE,
    "reasoning_effort": Bearing.SCOPE,
    "modalities": Bearing.SCOPE,
    "moderation": Bearing.SCOPE,
    # how one of the fitting answers is drawn, transported, counted or billed: the route's tiers decide who writes it
    "model": Bearing.NONE,
    "temperature": Bearing.NONE,
    "top_p": Bearing.NONE,
    "seed": Bearing.NONE,
    "frequency_penalty": Bearing.NONE,
    "presence_penalty": Bearing.NONE,
    "prediction": Bearing.NONE,
    "stream": Bearing.NONE,
    "stream_options": Bearing.NONE,
    "user": Bearing.NONE,
    "safety_identifier": Bearing.NONE,
    "prompt_cache_key": Bearing.NONE,
    "prompt_cache_options": Bearing.NONE,
    "prompt_cache_retention": Bearing.NONE,
    "metadata": Bearing.NONE,
    "store": Bearing.NONE,
    "service_tier": Bearing.NONE,
    # no earlier answer can be right: it depends on the world outside, or isn't one text
    "tools": Bearing.BYPASS,
    "tool_choice": Bearing.BYPASS,
    "parallel_tool_calls": Bearing.BYPASS,
    "functions": Bearing.BYPASS,
    "function_call": Bearing.BYPASS,
    "web_search_options": Bearing.BYPASS,
    "audio": Bearing.BYPASS,
    "n": Bearing.BYPASS,
    "logprobs": Bearing.BYPASS,
    "top_logprobs": Bearing.BYPASS,
}

# Saying the default is saying nothing.
_DEFAULTS: Mapping[str, Any] = {
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "tools": [],
    "functions": [],
    "tool_choice": "none",
    "response_format": {"type": "text"},
    "modalities": ["text"],
}
_BYPASS_NAMES = {
    "n": "choices",
    "top_logprobs": "logprobs",
    "tool_choice": "tools",
    "parallel_tool_calls": "tools",
    "functions": "tools",
    "function_call": "tools",
    "web_search_options": "web-search",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """A hard partition. key: 128 bits of SHA-256 over everything that divides, as hex."""

    tenant: str
    route: str
    key: str


def bypass_reason(body: Mapping[str, Any]) -> str | None:
    """Why this request can't be answered from earlier answers, or None."""
    for field, value in body.items():
        if FIELDS.get(field) is Bearing.BYPASS and _says_something(field, value):
            return _BYPASS_NAMES.get(field, field)
    return None


def scope_of(tenant: str, route: str, body: Mapping[str, Any], question: Question, context: Context) -> Scope:
    """The partition of this request. context: which earlier turns are part of it."""
    conditions = {
        field: value
        for field, value in body.items()
        if FIELDS.get(field, Bearing.SCOPE) is Bearing.SCOPE and _says_something(field, value)
    }
    instructions = [
        [message["role"], _words(message.get("content"))]
        for message in body["messages"]
        if message["role"] in INSTRUCTIONS
    ]
    earlier = _earlier_that_count(question, context)
    asides = _asides(body["messages"], of_all=bool(earlier))
    divides = json.dumps([tenant, route, instructions, conditions, earlier, asides], sort_keys=True)
    return Scope(tenant, route, sha256(divides.encode()).hexdigest()[:32])


def _earlier_that_count(question: Question, context: Context) -> Sequence[tuple[str, str]]:
    """Role and text of the earlier turns that must be the same: in `exact` and `chain` all of them.

    All, and not only those since the last question that needs none before it: of 167 follow-ups to such a question in
    CAsT 2019, 69 leave out a word from further back. An assistant's count too, since «it» may be what it named. And all
    the same, not alike: embedded as one text with its history, a question drowns in it, and at a cosine of 0.97 518 of
    the 833 later turns in CAsT meet another one. `chain` folds users' words as it folds the question; not an
    assistant's, which the cache gives again to the letter.
    """
    match context:
        case "none":
            return ()
        case "exact":
            return question.earlier
        case "chain":
            return [(role, fold(text) if role == "user" else text) for role, text in question.earlier]
        case _:
            assert_never(context)


def _words(content: object) -> object:
    """The text without white space around it, which instructs nobody; what is no text as it is."""
    text = text_of(content)
    return content if text is None else text.strip()


def _asides(messages: Sequence[Mapping[str, Any]], *, of_all: bool) -> list[Mapping[str, Any]]:
    """What messages say besides role and content, as the `name` of who speaks: a model may answer to it.

    of_all: of earlier turns too, not of the question and the instructions alone.
    """
    asked = last_turn(messages)
    asides: list[Mapping[str, Any]] = [
        {field: value for field, value in message.items() if value and field not in {"role", "content"}}
        for at, message in enumerate(messages)
        if of_all or at == asked or message["role"] in INSTRUCTIONS
    ]
    return asides if any(asides) else []


def _says_something(field: str, value: object) -> bool:
    return value is not None and not (field in _DEFAULTS and value == _DEFAULTS[field])
