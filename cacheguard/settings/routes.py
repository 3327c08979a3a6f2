"""Settings of routes: what they keep, and which tiers they try in turn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias, get_args

from pydantic import Field, model_validator

from cacheguard.settings.checks import PLAIN, Check
from cacheguard.settings.judging import Judging
from cacheguard.settings.spending import Spending
from cacheguard.settings.strategies import Strategy, WeightedStrategy, tiers_compared, tiers_named
from cacheguard.settings.values import (
    Count,
    Decision,
    Name,
    NotNegative,
    Positive,
    Section,
    Text,
    WrongShare,
    refuse,
)

Guard: TypeAlias = Literal[
    "numbers", "negation", "one_word", "direction", "names", "time_sensitive", "personal", "language"
]


class SecondLook(Section):
    model: Path
    """Folder that `cacheguard second-look` wrote."""
    min_confidence: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Confidence from which an answer that is not sure enough is looked at again."""
    budget_ms: Positive = 20
    """Longest time that a look may take, in milliseconds; what is not said by then is not served."""


class Cache(Section):
    mode: Literal["read-write", "read-only", "write-only", "off"] = "read-write"
    """Whether the route reads answers from the cache, adds answers to it, both, or neither."""
    ttl_s: NotNegative = 86400
    """Seconds that an answer stays fresh, counted from when it was written."""
    stale_while_revalidate_s: NotNegative = 3600
    """Seconds past ttl_s in which an answer is given at once while a new one is fetched (RFC 5861)."""
    stale_if_error_s: NotNegative = 604800
    """Seconds past ttl_s in which an answer is given when every tier fails (RFC 5861)."""
    decision: Decision = "auto"
    """When a similar question counts as the same: auto, or a cosine above 0 and at most 1."""
    max_wrong_hits: WrongShare | None = None
    """Share of the similar questions' hits that may be wrong. A route that breaks this promise by what judge, clients
    and people say serves less from then on, until it is tuned. Without it, nothing is promised."""
    judge: Judging | None = None
    """Who looks at some of the hits and near-misses, and how many; without it, nobody does."""
    guards: tuple[Guard, ...] = get_args(Guard)
    """Which guards may object to an answer, however near its question is; [] for none."""
    second_look: SecondLook | None = None
    """A slower model that reads the question together with the answer's, where the rule is unsure."""
    refresh_ahead_hits: Count | None = None
    """After how many hits an answer is fetched anew in the last tenth of its ttl_s, before it is stale. Without it,
    that is done once it is stale."""
    context: Literal["none", "exact", "chain"] = "exact"
    """How earlier turns count. none: not at all. exact: they must be the same. chain: the same, but for case, white
    space and closing marks in what the user said; and a question that leans on none of them may have the answer that
    was given to the first of another conversation."""

    @model_validator(mode="after")
    def _a_plain_cosine_promises_nothing(self) -> Self:
        if self.max_wrong_hits is not None and self.decision != "auto":
            refuse(("max_wrong_hits",), "needs decision: auto, since a plain cosine is never made stricter")
        return self


class Route(Section):
    models: tuple[Text, ...] = ()
    """Request `model` names that take this route; * stands for any text. The first fit is taken."""
    tiers: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of `tiers`, in the order in which they are asked."""
    strategy: Strategy = "sequence"
    """In which order, and how many at once, they are asked: sequence, fastest, cheapest, hedge, ensemble, escalate, or
    a mapping of weighted, canary, hedge or ensemble to its options."""
    max_attempts: Count = 4
    """Most calls for one answer, over all tiers."""
    on_refusal: Literal["next", "give"] = "next"
    """What follows when a model refuses: the next tier, or the refusal is given."""
    on_content_filter: Literal["next", "give"] = "give"
    """What follows when a provider's filter stops an answer: the next tier, or what came is given."""
    stream: Literal["live", "buffered"] = "live"
    """live: words are given as they come, and checked at the end. buffered: a stream begins when the whole answer has
    passed its checks."""
    variables: dict[Name, Text] = Field(default_factory=dict)
    """Texts that stand for {NAME} in the route's template."""
    deadline_s: Positive = 60
    """Longest time for an answer over all tiers, in seconds."""
    max_cost_usd: NotNegative | None = None
    """US dollars that one request may cost over all of its calls; without it, only limits on spending count."""
    spending: Spending = Spending()
    """What all requests of the route may cost together."""
    cache: Cache = Cache()
    """What the route keeps and gives again."""
    # `validate` is a method of pydantic's models.
    validators: Annotated[tuple[Check, ...], Field(alias="validate")] = PLAIN
    """Checks that an answer must pass before it is given or kept: names, or mappings of a name to its options. The form
    that a request asks for (response_format) is checked always."""

    @model_validator(mode="after")
    def _strategy_has_its_tiers(self) -> Self:
        for where, tier in tiers_named(self.strategy):
            if tier not in self.tiers:
                own = ", ".join(self.tiers)
                refuse(("strategy", *where), f"is for {tier!r}, which is none of the route's tiers: {own}")
        if isinstance(self.strategy, WeightedStrategy) and not any(self.strategy.weighted.values()):
            refuse(("strategy", "weighted"), "gives every tier a weight of 0: give one of them more")
        if (compared := tiers_compared(self.strategy)) > self.max_attempts:
            refuse(("strategy",), f"asks {compared} tiers at once, more than max_attempts, {self.max_attempts}")
        return self
