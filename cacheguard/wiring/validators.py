"""Checks of answers, with their options."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cacheguard.settings import (
    ForbiddenCheck,
    JudgeCheck,
    LanguageCheck,
    LengthCheck,
    PatternCheck,
    RelevanceCheck,
    SelfConsistencyCheck,
)
from cacheguard.validation import REGISTRY
from cacheguard.validation.base import AskingValidator
from cacheguard.validation.forbidden import Forbidden
from cacheguard.validation.judge import Judge
from cacheguard.validation.language import Language
from cacheguard.validation.length import Length
from cacheguard.validation.pattern import Pattern
from cacheguard.validation.relevance import Relevance
from cacheguard.validation.self_consistency import SelfConsistency

if TYPE_CHECKING:
    from cacheguard import settings as configured
    from cacheguard.validation.agreement import Embed
    from cacheguard.validation.base import Validator


def make_validator(check: configured.Check, embed: Embed) -> Validator | AskingValidator:  # noqa: PLR0911 - one for each kind
    match check:
        case LengthCheck():
            return Length(check.length.min_chars, check.length.max_chars)
        case PatternCheck():
            return Pattern(check.pattern.must)
        case ForbiddenCheck():
            return Forbidden(check.forbidden.words, check.forbidden.pattern)
        case RelevanceCheck():
            return Relevance(check.relevance.min_similarity, embed)
        case LanguageCheck():
            return Language(check.language.only)
        case "language":
            return Language()
        case SelfConsistencyCheck(self_consistency=its):
            make = partial(SelfConsistency, its.samples, its.min_similarity, embed)
            return AskingValidator(SelfConsistency.name, make)
        case JudgeCheck():
            return AskingValidator(Judge.name, partial(Judge, check.judge.tier, check.judge.criteria))
        case _:
            return REGISTRY[check]()
