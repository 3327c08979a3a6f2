"""Settings of the checks that an answer must pass: names, and mappings of a name to its options."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from cacheguard.settings.choice import Choice
from cacheguard.settings.values import Cosine, Count, LanguageCode, Name, Section, Text, refuse
from cacheguard.validation.regex import Regex


def _regex(pattern: str) -> str:
    try:
        Regex(pattern)
    except ValueError as exc:
        raise ValueError(f"can't be used as a regular expression: {exc}") from None
    return pattern


# Rust's, since those of Python may take for ever.
Expression = Annotated[Text, AfterValidator(_regex)]


class Length(Section):
    min_chars: Count = 1
    """Least number of characters."""
    max_chars: Count | None = None
    """Greatest number of characters; without it, there is none."""

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.max_chars is not None and self.max_chars < self.min_chars:
            refuse(("max_chars",), f"is less than min_chars, {self.min_chars}")
        return self


class Pattern(Section):
    must: Expression
    """Regular expression (Rust's) that is found somewhere in every answer."""


class Forbidden(Section):
    words: tuple[Text, ...] = ()
    """Whole words or phrases, in any case."""
    pattern: Expression | None = None
    """Regular expression (Rust's) that is found nowhere in an answer."""

    @model_validator(mode="after")
    def _forbids(self) -> Self:
        if not self.words and self.pattern is None:
            refuse((), "forbids nothing: give it words or a pattern")
        return self


class Relevance(Section):
    min_similarity: Cosine
    """Least cosine between the vectors of question and answer, above 0 and at most 1."""


class Language(Section):
    only: Annotated[tuple[LanguageCode, ...], Field(min_length=1)]
    """Languages that an answer may be in, as ISO 639-1 codes, whatever that of the question is."""


class SelfConsistency(Section):
    samples: Annotated[int, Field(ge=1, le=10)] = 2
    """How many more answers the same tier is asked for, at once; each costs as much as the first. At most 10."""
    min_similarity: Cosine = 0.8
    """Least cosine between the vectors of two answers that agree, above 0 and at most 1; of JSON, equality."""


class Judge(Section):
    tier: Name
    """Name of the tier, no template, that judges every answer."""
    criteria: str = ""
    """When an answer is right, in words for the judge; without them: when it is true and answers the question."""


class LengthCheck(Section):
    length: Length
    """How short and how long an answer may be."""


class PatternCheck(Section):
    pattern: Pattern
    """What every answer must hold."""


class ForbiddenCheck(Section):
    forbidden: Forbidden
    """What no answer may hold."""


class RelevanceCheck(Section):
    relevance: Relevance
    """How near to its question an answer must be."""


class LanguageCheck(Section):
    language: Language
    """In which languages an answer may be."""


class SelfConsistencyCheck(Section):
    self_consistency: SelfConsistency
    """How often a model must say the same again."""


class JudgeCheck(Section):
    judge: Judge
    """Which other tier must find the answer right."""


PlainCheck: TypeAlias = Literal["not_empty", "complete", "not_refusal"]
# These stand alone or have options.
EitherCheck: TypeAlias = Literal["language"]
PLAIN = get_args(PlainCheck)
CHECKS = Choice(
    "check",
    PLAIN,
    {
        "length": LengthCheck,
        "pattern": PatternCheck,
        "forbidden": ForbiddenCheck,
        "relevance": RelevanceCheck,
        "language": LanguageCheck,
        "self_consistency": SelfConsistencyCheck,
        "judge": JudgeCheck,
    },
    get_args(EitherCheck),
)

Check = Annotated[
    Annotated[Literal[PlainCheck, EitherCheck], Tag("check:name")]
    | Annotated[LengthCheck, Tag("check:length")]
    | Annotated[PatternCheck, Tag("check:pattern")]
    | Annotated[ForbiddenCheck, Tag("check:forbidden")]
    | Annotated[RelevanceCheck, Tag("check:relevance")]
    | Annotated[LanguageCheck, Tag("check:language")]
    | Annotated[SelfConsistencyCheck, Tag("check:self_consistency")]
    | Annotated[JudgeCheck, Tag("check:judge")],
    Discriminator(CHECKS.kind),
    BeforeValidator(CHECKS.known),
]
