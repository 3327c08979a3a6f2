"""One call to a tier: what it cost however it ended, and who is told of its end, once."""

from __future__ import annotations

import pytest

from cacheguard.cascade.breaker import State
from cacheguard.cascade.health import Health
from cacheguard.cascade.price import Price
from cacheguard.cascade.spending import Ledger
from cacheguard.cascade.tier import Tier
from cacheguard.cascade.under_way import UnderWay
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Completion, Finish, Usage
from cacheguard.providers.template import TemplateProvider

# A million tokens read cost a million dollars: one costs one.
PRICE = Price(input_usd_per_mtok=1e6, output_usd_per_mtok=1e7, cached_input_usd_per_mtok=5e5)
INPUT_TOKENS, RESERVED_USD = 20, 500.0
COUNTED = Usage(input=8, output=3, cached_input=2)
COUNTED_USD = 6 + 2 * 0.5 + 3 * 10
SAID = "Yes, at nine."  # 13 bytes: 4 tokens, as estimated
SAID_TOKENS = 4


class Even:
    """Every break is as long as it is said to be."""

    def uniform(self, a, b):
        return (a + b) / 2


class Scene:
    """A call to a tier, a clock that a test moves, and who is told of it."""

    def __init__(self, *, price=PRICE, is_check=False, health=None):
        self.now = 100.0
        self.seen = []
        self.purse = Ledger({}).purse("tenant", "route", 1e6, now=0.0)
        self.tier = Tier(
            "tier", TemplateProvider("Yes."), "model", 60, 60, price=price, health=health or Health(Even())
        )
        self.call = self.begin(is_check=is_check)

    def begin(self, *, is_check=False):
        return UnderWay(
            self.tier,
            self.tier.health.admit("", self.now),
            self.purse.reserve(RESERVED_USD),
            limit_s=30,
            input_tokens=INPUT_TOKENS,
            clock=lambda: self.now,
            observe=self.seen.append,
            is_check=is_check,
        )

    @property
    def spent_usd(self):
        return self.purse._own.spent.own

    def quantile(self, pace, share=0.5):
        return pace.quantile(share, self.now)


def completion(text=SAID, usage=COUNTED):
    return Completion({}, text, Finish.STOP, "model", usage)


def failed(failure, status=None):
    return AttemptFailed(failure, "no", status=status)


@pytest.mark.parametrize(
    ("came", "cost_usd"),
    [
        (completion(), COUNTED_USD),
        (completion(usage=Usage(input=8)), 8),
        (completion(usage=Usage()), INPUT_TOKENS + 10 * SAID_TOKENS),
        (completion("", usage=Usage()), INPUT_TOKENS),
    ],
    ids=["counted", "only input counted", "not counted", "nothing said"],
)
@pytest.mark.parametrize("failure", [None, FailureClass.REFUSAL, FailureClass.SCHEMA])
def test_an_answer_costs_what_its_provider_counted_else_what_is_estimated(came, cost_usd, failure):
    scene = Scene()
    assert scene.spent_usd == RESERVED_USD
    scene.call.came(came)
    scene.call.ended(failure and failed(failure))
    assert scene.call.attempt.cost_usd == scene.spent_usd == cost_usd
    assert scene.call.attempt.failure is failure


@pytest.mark.parametrize("failure", FailureClass)
def test_without_an_answer_only_a_call_that_was_left_waiting_costs_its_input(failure):
    scene = Scene()
    scene.call.ended(failed(failure, status=500))
    is_billed = failure in {FailureClass.SLOW, FailureClass.TRUNCATED}
    assert scene.call.attempt.cost_usd == scene.spent_usd == (INPUT_TOKENS if is_billed else 0)
    assert (scene.call.attempt.failure, scene.call.attempt.status) == (failure, 500)


@pytest.mark.parametrize(
    ("so_far", "cost_usd"),
    [(None, INPUT_TOKENS), (completion(usage=Usage()), INPUT_TOKENS + 10 * SAID_TOKENS), (completion(), COUNTED_USD)],
    ids=["nothing yet", "some words", "counted"],
)
def test_a_call_that_nobody_waits_for_costs_all_it_has_read_and_what_came(so_far, cost_usd):
    scene = Scene()
    scene.call.abandoned(so_far)
    assert scene.call.attempt.cost_usd == scene.spent_usd == cost_usd
    assert (scene.call.attempt.is_abandoned, scene.call.attempt.outcome) == (True, "abandoned")


def test_a_stream_that_breaks_costs_what_came_of_it():
    scene = Scene()
    scene.call.spoke()
    scene.call.ended(failed(FailureClass.TRANSPORT), completion(usage=Usage()))
    assert scene.call.attempt.cost_usd == INPUT_TOKENS + 10 * SAID_TOKENS


def test_what_is_free_costs_nothing_however_it_ends():
    scene = Scene(price=Price())
    scene.call.abandoned(completion())
    assert scene.spent_usd == 0


def test_what_is_said_first_of_a_calls_end_counts_and_is_told_once():
    scene = Scene()
    scene.call.came(completion())
    scene.call.ended(None)
    scene.call.ended(failed(FailureClass.TRANSPORT))
    scene.call.abandoned()
    assert [attempt.outcome for attempt in scene.seen] == ["answered"]
    assert scene.spent_usd == COUNTED_USD
    assert scene.purse._own.spent.under_way == 0


def test_an_answer_that_will_not_do_after_all_is_told_as_rejected_and_costs_the_same():
    scene = Scene()
    scene.call.came(completion())
    scene.call.ended(None)
    scene.call.rejected()
    assert (scene.call.attempt.failure, scene.call.attempt.cost_usd) == (FailureClass.REJECTED, COUNTED_USD)
    assert len(scene.seen) == 1


def test_an_attempt_lasts_until_its_end_and_no_longer():
    scene = Scene()
    assert scene.call.ends_at == 130
    scene.now += 2
    assert scene.call.attempt.seconds == 2
    scene.call.ended(None)
    scene.now += 5
    assert scene.call.attempt.seconds == 2


def test_the_pace_of_a_stream_is_told_at_its_first_word_and_at_its_end():
    scene = Scene()
    scene.now += 1
    scene.call.spoke()
    scene.now += 2
    scene.call.came(completion())
    scene.call.ended(None)
    assert scene.quantile(scene.tier.pace.first_words) == 1
    assert scene.quantile(scene.tier.pace.whole) == 3
    assert scene.tier.pace.output_tokens(scene.now) == COUNTED.output


@pytest.mark.parametrize("end", ["abandoned", "slow"])
def test_a_call_that_was_given_up_tells_that_it_takes_that_long(end):
    scene = Scene()
    scene.now += 4
    if end == "slow":
        scene.call.ended(failed(FailureClass.SLOW))
    else:
        scene.call.abandoned()
    assert scene.quantile(scene.tier.pace.whole) == scene.quantile(scene.tier.pace.first_words) == 4


def test_a_failure_tells_nothing_of_a_models_pace():
    scene = Scene()
    scene.call.ended(failed(FailureClass.TRANSPORT))
    assert scene.quantile(scene.tier.pace.whole) is None


def test_what_a_validator_asks_is_told_as_a_check_and_is_no_measure_of_answers():
    scene = Scene(is_check=True)
    scene.call.came(completion())
    scene.call.ended(None)
    scene.begin(is_check=True).abandoned()
    assert [attempt.is_check for attempt in scene.seen] == [True, True]
    assert scene.quantile(scene.tier.pace.whole) is None
    assert scene.quantile(scene.tier.pace.first_words) is None


def test_a_probe_that_nobody_waits_for_leaves_its_place_to_the_next():
    health = Health(Even())
    for _ in range(5):
        health.admit("", 99.0).ended(failed(FailureClass.TRANSPORT), 90.0)
    scene = Scene(health=health)
    assert health.state(scene.now)[0] is State.HALF_OPEN
    assert health.admit("", scene.now) is None
    scene.call.abandoned()
    assert health.admit("", scene.now) is not None


def test_an_answer_that_is_held_is_told_when_it_is_decided_upon_as_what_it_came_to():
    scene = Scene()
    scene.call.hold()
    scene.call.came(completion())
    scene.call.ended(None)
    assert (scene.seen, scene.spent_usd) == ([], COUNTED_USD)
    scene.call.rejected()
    scene.call.decided()
    scene.call.decided()
    assert [attempt.outcome for attempt in scene.seen] == ["rejected"]


def test_a_held_call_that_fails_is_told_at_once():
    scene = Scene()
    scene.call.hold()
    scene.call.ended(failed(FailureClass.TRANSPORT))
    scene.call.decided()
    assert [attempt.outcome for attempt in scene.seen] == ["transport"]
