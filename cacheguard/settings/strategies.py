"""Settings of strategies: in which order, and how many at once, a route's tiers are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from cacheguard.settings.choice import Choice
from cacheguard.settings.values import Cosine, Count, Name, NotNegative, Positive, Section

if TYPE_CHECKING:
    from cacheguard.settings.values import Where


MODELS_TO_COMPARE = 2


class Canary(Section):
    tier: Name
    """The tier that is tried out."""
    share: Annotated[float, Field(gt=0, lt=1)]
    """Which part of the conversations asks it first, above 0 and below 1; for the others it comes last."""


class Hedge(Section):
    after_ms: Positive
    """Milliseconds after which the second tier is asked too; without it, as long as 93 of 100 answers took lately."""


class Ensemble(Section):
    size: Annotated[Count, Field(ge=MODELS_TO_COMPARE)] = 3
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


def tiers_named(strategy: Strategy) -> list[tuple[Where, str]]:
    """Where in its options a strategy names a tier, and which."""
    match strategy:
        case WeightedStrategy(weighted=weights):
            return [(("weighted", tier), tier) for tier in weights]
        case CanaryStrategy(canary=canary):
            return [(("canary", "tier"), canary.tier)]
        case _:
            return []


def tiers_compared(strategy: Strategy) -> int:
    """How many are asked at once and compared, 0 where none are."""
    match strategy:
        case EnsembleStrategy(ensemble=ensemble):
            return ensemble.size
        case "ensemble":
            return ENSEMBLE.ensemble.size
        case _:
            return 0
