"""Checks of answers, with their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from cacheguard.settings import ForbiddenCheck, LengthCheck, PatternCheck, RelevanceCheck
from cacheguard.validation import REGISTRY
from cacheguard.validation.forbidden import Forbidden
from cacheguard.validation.length import Length
from cacheguard.validation.pattern import Pattern
from cacheguard.validation.relevance import Relevance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cacheguard import settings as configured
    from cacheguard.validation.base import Validator
    from embeddings.base import Embedded

    Embed: TypeAlias = Callable[[Sequence[str]], Awaitable[Embedded]]


def make_validator(check: configured.Check, embed: Embed) -> Validator:
    match check:
        case LengthCheck():
            return Length(check.length.min_chars, check.length.max_chars)
        case PatternCheck():
            return Pattern(check.pattern.must)
        case ForbiddenCheck():
            return Forbidden(check.forbidden.words, check.forbidden.pattern)
        case RelevanceCheck():
            return Relevance(check.relevance.min_similarity, embed)
        case _:
            return REGISTRY[check]()
