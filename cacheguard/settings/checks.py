"""Settings of the checks that an answer must pass: names, and mappings of a name to its options."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from cacheguard.language import CODES
from cacheguard.settings.values import Count, Name, Section, Text, refuse, refuse_unknown
from cacheguard.validation.regex import Regex


def _regex(pattern: str) -> str:
    try:
        Regex(pattern)
    except ValueError as exc:
        raise ValueError(f"can't be used as a regular expression: {exc}") from None
    return pattern


def _language(code: str) -> str:
    if code not in CODES:
        raise ValueError("must be the two letters of a language in ISO 639-1: en, de, zh, …")
    return code


# Rust's, since those of Python may take for ever.
Expression = Annotated[Text, AfterValidator(_regex)]
Cosine = Annotated[float, Field(gt=0, le=1)]


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
    only: Annotated[tuple[Annotated[str, AfterValidator(_language)], ...], Field(min_length=1)]
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
PLAIN = get_args(PlainCheck)
# These stand alone or have options.
EitherCheck: TypeAlias = Literal["language"]
EITHER = get_args(EitherCheck)
WITH_OPTIONS: dict[str, type[Section]] = {
    "length": LengthCheck,
    "pattern": PatternCheck,
    "forbidden": ForbiddenCheck,
    "relevance": RelevanceCheck,
    "language": LanguageCheck,
    "self_consistency": SelfConsistencyCheck,
    "judge": JudgeCheck,
}
CHECK_KINDS: dict[str | int, type[Section]] = {f"check:{name}": kind for name, kind in WITH_OPTIONS.items()}


def _known(value: object) -> object:
    match value:
        case str() if value in WITH_OPTIONS and value not in EITHER:
            raise ValueError(f"needs options: {value}: {{{', '.join(_options(value))}}}")
        case str():
            if value not in (*PLAIN, *EITHER):
                refuse_unknown([()], (*PLAIN, *WITH_OPTIONS))
        case dict():
            [name, *more] = value or [""]
            if name in PLAIN and not more:
                raise ValueError(f"gives {name} options, but it has none: write it alone")
            if name not in WITH_OPTIONS or more:
                raise ValueError(f"must be one check with its options; known: {', '.join(WITH_OPTIONS)}")
        case Section():
            pass
        case _:
            raise ValueError("must be the name of a check, or a mapping of its name to its options")
    return value


def _options(name: str) -> list[str]:
    [field] = WITH_OPTIONS[name].model_fields.values()
    assert field.annotation is not None  # noqa: S101 - for mypy; every setting has a type
    return list(field.annotation.model_fields)


def _kind(value: object) -> str:
    match value:
        case str():
            return "check:name"
        case dict():
            return f"check:{next(iter(value))}"
        case _:
            return next(f"check:{name}" for name, section in WITH_OPTIONS.items() if isinstance(value, section))


Check = Annotated[
    Annotated[Literal[PlainCheck, EitherCheck], Tag("check:name")]
    | Annotated[LengthCheck, Tag("check:length")]
    | Annotated[PatternCheck, Tag("check:pattern")]
    | Annotated[ForbiddenCheck, Tag("check:forbidden")]
    | Annotated[RelevanceCheck, Tag("check:relevance")]
    | Annotated[LanguageCheck, Tag("check:language")]
    | Annotated[SelfConsistencyCheck, Tag("check:self_consistency")]
    | Annotated[JudgeCheck, Tag("check:judge")],
    Discriminator(_kind),
    BeforeValidator(_known),
]
