"""Settings of strategies: in which order, and how many at once, a route's tiers are asked."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from cacheguard.settings.choice import Choice
from cacheguard.settings.values import Cosine, Count, Name, NotNegative, Positive, Section


class Canary(Section):
    tier: Name
    """The tier that is tried out."""
    share: Annotated[float, Field(gt=0, lt=1)]
    """Which part of the conversations asks it first, above 0 and below 1; for the others it comes last."""


class Hedge(Section):
    after_ms: Positive
    """Milliseconds after which the second tier is asked too; without it, as long as 95 of 100 answers took lately."""


class Ensemble(Section):
    size: Annotated[Count, Field(ge=2)] = 3
    """How many of the first tiers are asked at once, at least 2."""
    min_similarity: Cosine = 0.8
    """Least cosine between the vectors of two answers that agree, above 0 and at most 1; of JSON, equality."""


class WeightedStrategy(Section):
    weighted: Annotated[dict[Name, NotNegative], Field(min_length=1)]
    """Which parts of the conversations ask which tier first: weights, by tier. A conversation keeps its tier."""


class CanaryStrategy(Section):
    canary: Canary
    """A tier that a few conversations ask first."""


class HedgeStrategy(Section):
    hedge: Hedge
    """When a second tier is asked while the first is under way."""


class EnsembleStrategy(Section):
    ensemble: Ensemble
    """How many tiers are asked at once, and when they agree."""


ENSEMBLE = EnsembleStrategy(ensemble=Ensemble())
PlainStrategy: TypeAlias = Literal["sequence", "fastest", "cheapest", "escalate"]
EitherStrategy: TypeAlias = Literal["hedge", "ensemble"]
STRATEGIES = Choice(
    "strategy",
    get_args(PlainStrategy),
    {
        "weighted": WeightedStrategy,
        "canary": CanaryStrategy,
        "hedge": HedgeStrategy,
        "ensemble": EnsembleStrategy,
    },
    get_args(EitherStrategy),
)

Strategy = Annotated[
    Annotated[Literal[PlainStrategy, EitherStrategy], Tag("strategy:name")]
    | Annotated[WeightedStrategy, Tag("strategy:weighted")]
    | Annotated[CanaryStrategy, Tag("strategy:canary")]
    | Annotated[HedgeStrategy, Tag("strategy:hedge")]
    | Annotated[EnsembleStrategy, Tag("strategy:ensemble")],
    Discriminator(STRATEGIES.kind),
    BeforeValidator(STRATEGIES.known),
]
