"""What a route may say of how its tiers are asked: what it comes to, and what makes no sense."""

from __future__ import annotations

import pytest

from cacheguard.cascade.strategies.ensemble import Ensemble
from cacheguard.cascade.strategies.escalate import Escalate
from cacheguard.cascade.strategies.hedge import Hedge
from cacheguard.cascade.strategies.ranked import Ranked
from cacheguard.cascade.strategies.sequence import Sequence
from cacheguard.cascade.strategies.shares import Canary, Weighted
from cacheguard.errors import ConfigError
from cacheguard.failures import POLICIES, FailureClass
from cacheguard.providers.base import Call
from cacheguard.settings import effective_yaml, load
from cacheguard.wiring.routes import make_route
from cacheguard.wiring.tiers import make_tiers

TIERS = """\
providers: {local: {kind: openai, base_url: "http://127.0.0.1:11434/v1"}}
tiers:
  small: {provider: local, model: s}
  large: {provider: local, model: l}
  sorry: {template: "Call {phone}, {who}. {}"}
"""
ROUTE = "routes:\n  default: {{tiers: [small, large], {}}}\n"


@pytest.fixture
def loaded(tmp_path):
    """Loads settings whose one route says more."""

    def load_text(text):
        (tmp_path / "cacheguard.yaml").write_text(TIERS + text, "utf-8")
        return load(None, {}, tmp_path).settings

    return load_text


@pytest.fixture
def plan_of(loaded):
    """The plan of a route that says more."""

    def made(more, route=ROUTE):
        settings = loaded(route.format(more))
        return make_route("default", settings, make_tiers(settings, {"local": None}), embed=None).plan

    return made


@pytest.fixture
def refusal(loaded):
    """What is said of a route, without the file and the line, which are told elsewhere."""

    def of(text):
        with pytest.raises(ConfigError) as raised:
            loaded(text)
        return str(raised.value).partition("routes.")[2]

    return of


@pytest.mark.parametrize(
    ("strategy", "made"),
    [
        ("sequence", Sequence),
        ("fastest", Ranked),
        ("cheapest", Ranked),
        ("escalate", Escalate),
        ("hedge", Hedge),
        ("{hedge: {after_ms: 300}}", Hedge),
        ("ensemble", Ensemble),
        ("{ensemble: {size: 2, min_similarity: 1}}", Ensemble),
        ("{ensemble: {}}", Ensemble),
        ("{weighted: {small: 3, large: 0.5}}", Weighted),
        ("{weighted: {small: 0, large: 1}}", Weighted),
        ("{canary: {tier: large, share: 0.05}}", Canary),
    ],
)
def test_a_strategy_is_a_name_or_has_options_and_is_shown_as_it_was_written(tmp_path, loaded, plan_of, strategy, made):
    assert type(plan_of(f"strategy: {strategy}").strategy) is made
    settings = loaded(ROUTE.format(f"strategy: {strategy}"))
    (tmp_path / "cacheguard.yaml").write_text(effective_yaml(settings), "utf-8")
    assert load(None, {}, tmp_path).settings == settings


def test_a_route_asks_in_turn_four_times_at_most_and_gives_words_as_they_come_unless_it_says_otherwise(plan_of):
    plan = plan_of("deadline_s: 60")
    assert type(plan.strategy) is Sequence
    assert (plan.max_attempts, plan.is_buffered, plan.max_cost_usd) == (4, False, None)
    assert plan.policies == POLICIES


def test_what_a_route_says_of_attempts_streams_and_money_holds(plan_of):
    plan = plan_of("max_attempts: 7, stream: buffered, max_cost_usd: 0.02")
    assert (plan.max_attempts, plan.is_buffered, plan.max_cost_usd) == (7, True, 0.02)


@pytest.mark.parametrize("says", ["next", "give"])
def test_a_route_says_what_follows_a_refusal_and_a_content_filter_and_of_nothing_else(plan_of, says):
    policies = plan_of(f"on_refusal: {says}, on_content_filter: {says}").policies
    for cls in FailureClass:
        expected = POLICIES[cls].next_tier
        if cls in {FailureClass.REFUSAL, FailureClass.CONTENT_FILTER}:
            expected = says == "next"
            assert policies[cls].giveable
        assert policies[cls].next_tier is expected


async def test_a_template_says_what_its_routes_variables_say(plan_of):
    route = "routes:\n  default: {{tiers: [small, sorry], variables: {{phone: '110', who: '{{phone}}'}}, {}}}\n"
    template = plan_of("deadline_s: 60", route).template
    completion = await template.provider.complete(Call("sorry", {}))
    assert completion.text == "Call 110, {phone}. {}"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "strategy: hedg",
            (
                "strategy is 'hedg'; did you mean 'hedge'? known: sequence, fastest, cheapest, escalate, weighted, "
                "canary, hedge, ensemble"
            ),
        ),
        ("strategy: ", "strategy is empty: give it a value, or take it out"),
        ("strategy: weighted", "strategy needs options: weighted: {…}"),
        ("strategy: canary", "strategy needs options: canary: {tier, share}"),
        ("strategy: {fastest: {}}", "strategy gives fastest options, but it has none: write it alone"),
        ("strategy: []", "strategy must be the name of a strategy, or a mapping of its name to its options"),
        (
            "strategy: {hedge: {after_ms: 9}, canary: {tier: small, share: 0.1}}",
            "strategy must be one strategy with its options; known: weighted, canary, hedge, ensemble",
        ),
        ("strategy: {weighted: {}}", "strategy.weighted is empty"),
        ("strategy: {weighted: {small: -1}}", "strategy.weighted.small is '-1'; it must be at least 0"),
        (
            "strategy: {weighted: {smal: 3}}",
            "strategy.weighted.smal is for 'smal', which is none of the route's tiers: small, large",
        ),
        (
            "strategy: {weighted: {small: 0, large: 0}}",
            "strategy.weighted gives every tier a weight of 0: give one of them more",
        ),
        (
            "strategy: {canary: {tier: sorry, share: 0.1}}",
            "strategy.canary.tier is for 'sorry', which is none of the route's tiers: small, large",
        ),
        ("strategy: {canary: {tier: large}}", "strategy.canary.share is missing"),
        ("strategy: {canary: {tier: large, share: 0}}", "strategy.canary.share is '0'; it must be above 0"),
        ("strategy: {canary: {tier: large, share: 1}}", "strategy.canary.share is '1'; it must be below 1"),
        ("strategy: {hedge: {}}", "strategy.hedge.after_ms is missing"),
        ("strategy: {hedge: {after_ms: 0}}", "strategy.hedge.after_ms is '0'; it must be above 0"),
        ("strategy: {ensemble: {size: 1}}", "strategy.ensemble.size is '1'; it must be at least 2"),
        ("strategy: {ensemble: {size: 5}}", "strategy asks 5 tiers at once, more than max_attempts, 4"),
        ("strategy: ensemble, max_attempts: 2", "strategy asks 3 tiers at once, more than max_attempts, 2"),
        ("max_attempts: 0", "max_attempts is '0'; it must be at least 1"),
        ("max_cost_usd: -1", "max_cost_usd is '-1'; it must be at least 0"),
        ("on_refusal: stop", "on_refusal is 'stop'; known: next, give"),
        ("on_content_filter: stop", "on_content_filter is 'stop'; known: next, give"),
        ("stream: slow", "stream is 'slow'; known: live, buffered"),
        ("variables: {phone: ''}", "variables.phone is empty"),
    ],
)
def test_what_makes_no_sense_is_named_with_the_way_out(refusal, more, message):
    assert refusal(ROUTE.format(more)) == f"default.{message}"


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("{tiers: [small, sorry]}", "tiers[1] is 'sorry', whose text has {phone}: add it to variables"),
        (
            "{tiers: [small, sorry], variables: {phone: '110'}}",
            "tiers[1] is 'sorry', whose text has {who}: add it to variables",
        ),
        (
            "{tiers: [small, sorry], variables: {phone: 110, who: me}, strategy: {weighted: {small: 1, sorry: 1}}}",
            "strategy.weighted.sorry is for 'sorry', a template, which is only asked last",
        ),
        (
            "{tiers: [small, sorry], variables: {phone: 110, who: me}, strategy: {canary: {tier: sorry, share: 0.1}}}",
            "strategy.canary.tier is for 'sorry', a template, which is only asked last",
        ),
        (
            "{tiers: [small, sorry], variables: {phone: 110, who: me}, strategy: ensemble}",
            "strategy compares models, but the route has 1: give it two or more",
        ),
    ],
)
def test_a_template_is_the_last_resort_of_every_strategy(refusal, route, message):
    assert refusal(f"routes:\n  default: {route}\n") == f"default.{message}"
