"""Who may be asked: time, attempts, abilities, money and health decide, and the reason is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from upstreams import asked, unseen

from cacheguard.cascade.adaptation import Adaptation
from cacheguard.cascade.admission import RESERVE_S, RETRY_AFTER_S, Admission, schema_key
from cacheguard.cascade.fitness import Abilities
from cacheguard.cascade.outcome import PassedOver
from cacheguard.cascade.plan import Plan
from cacheguard.cascade.price import Price
from cacheguard.cascade.spending import Ledger, Limit, Period
from cacheguard.cascade.tier import Tier
from cacheguard.errors import CostBudgetExceeded, SpendingLimitReached
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.template import TemplateProvider
from cacheguard.stores.base import Account

SAYS_YES = TemplateProvider("Yes.")
# A million tokens cost a million dollars: one costs one.
PRICE = Price(input_usd_per_mtok=1e6, output_usd_per_mtok=1e6)
NOON = 1_800_014_400.0
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/receipt.png"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "form", "schema": {"type": "object"}}}


def tier(name="tier", *, timeout_s=30.0, **rest):
    return Tier(name, SAYS_YES, f"{name}-model", timeout_s, timeout_s, **rest)


class Scene:
    """The admission of one request, a clock that a test moves, and the money that there is."""

    def __init__(self, body=None, *, stream=False, most_usd=None, limits=None, template=False, **plan):
        self.now = 100.0
        self.body = body or asked()
        self.purse = Ledger(limits or {}).purse("shop", "faq", most_usd, NOON)
        tiers = (replace(tier("sorry"), is_template=True),) if template else ()
        plan = Plan(tiers, **plan)
        self.admission = Admission(plan, self.body, self.purse, lambda: self.now, unseen, stream=stream)

    def begin(self, its=None, later=(), *, body=None, is_check=False):
        return self.admission.begin(its or tier(), body or self.body, later, is_check=is_check)

    @property
    def reasons(self):
        return [passed.why for passed in self.admission.tried.passed_over]


def failed(failure=FailureClass.TRANSPORT, retry_after_s=None):
    return AttemptFailed(failure, "no", retry_after_s=retry_after_s)


def test_a_tier_that_may_be_asked_gets_its_own_time_out():
    scene = Scene(deadline_s=60)
    call = scene.begin()
    assert (call.limit_s, scene.reasons) == (30, [])
    assert scene.admission.tried.attempts == (call.attempt,)


@pytest.mark.parametrize(
    ("later", "template", "limit_s"),
    [([], False, 10), ([tier("next")], False, 10 - RESERVE_S), ([], True, 10 - RESERVE_S)],
    ids=["last", "another stands by", "a template stands by"],
)
def test_a_deadline_shortens_an_attempt_but_for_the_reserve_of_the_last_resort(later, template, limit_s):
    assert Scene(deadline_s=10, template=template).begin(later=later).limit_s == limit_s


def test_what_has_passed_is_gone_for_every_later_attempt():
    scene = Scene(deadline_s=10)
    scene.now += 7
    assert scene.begin().limit_s == 3
    scene.now += 3
    assert scene.begin() is None
    assert scene.reasons == ["no time was left"]
    assert scene.admission.left_s < 0


def test_calls_are_counted_when_they_begin_and_checks_are_none():
    scene = Scene(max_attempts=2)
    assert scene.begin() is not None
    assert scene.begin(is_check=True) is not None
    assert scene.begin() is not None
    assert scene.admission.calls_left == 0
    assert scene.begin(tier("third")) is None
    assert scene.begin(is_check=True) is not None
    assert scene.admission.tried.passed_over == (PassedOver("third", "enough was tried"),)
    assert (len(scene.admission.tried.attempts), scene.admission.tried.calls) == (4, 2)


@pytest.mark.parametrize(
    ("abilities", "wish", "why"),
    [
        (Abilities(vision=False), {"messages": [{"role": "user", "content": [PICTURE]}]}, "reads no images"),
        (Abilities(tools=False), {"tools": [{"type": "function"}]}, "calls no tools"),
        (Abilities(json_schema=False), {"response_format": SCHEMA}, "keeps to no JSON Schema"),
        (Abilities(context_window=20), {"max_tokens": 20}, "context window of 20 tokens"),
    ],
)
def test_a_tier_that_cant_do_what_is_needed_is_passed_over(abilities, wish, why):
    scene = Scene({**asked(), **wish})
    assert scene.begin(tier(abilities=abilities)) is None
    assert scene.reasons == [why]
    assert scene.begin(tier("other")) is not None


def test_what_is_left_out_for_a_tier_is_not_needed_of_it():
    scene = Scene(asked(tools=[{"type": "function"}]))
    its = tier(abilities=Abilities(tools=False), adaptation=Adaptation(drop=("tools",)))
    assert scene.begin(its, body=its.adaptation.adapted(scene.body)) is not None


@pytest.mark.parametrize(
    ("window", "next_window", "is_asked"),
    [(8000, 8000, False), (8000, 4000, False), (8000, 16000, True), (None, 8000, True), (8000, None, True)],
)
def test_a_prompt_that_was_too_long_for_one_goes_only_to_a_larger_window(window, next_window, is_asked):
    scene = Scene()
    scene.admission.heard(
        tier(abilities=Abilities(context_window=window)), scene.body, failed(FailureClass.CONTEXT_LENGTH)
    )
    call = scene.begin(tier("next", abilities=Abilities(context_window=next_window)))
    assert (call is not None, scene.reasons) == (is_asked, [] if is_asked else ["its context window is no larger"])


def test_a_prompt_that_was_too_long_goes_on_where_it_is_shortened():
    scene = Scene(asked("word " * 100))
    small = Abilities(context_window=8000)
    scene.admission.heard(tier(abilities=small), scene.body, failed(FailureClass.CONTEXT_LENGTH))
    assert scene.begin(tier("shortens", abilities=small), body=asked("word")) is not None


@pytest.mark.parametrize("stream", [False, True])
def test_a_tier_that_usually_takes_longer_than_is_left_is_passed_over_while_another_stands_by(stream):
    scene = Scene(deadline_s=10, stream=stream)
    slow, other = tier("slow"), [tier("other")]
    slow.pace.of(stream=not stream).saw(20, scene.now)
    assert scene.begin(slow, other) is not None
    slow.pace.of(stream=stream).saw(20, scene.now)
    assert scene.begin(slow, other) is None
    assert scene.reasons == ["it usually takes longer than the time that was left"]
    assert scene.begin(slow) is not None


def test_a_tier_that_is_slow_as_a_rule_is_asked_when_it_has_all_of_its_time():
    scene = Scene(deadline_s=60)
    slow = tier(timeout_s=10)
    slow.pace.whole.saw(20, scene.now)
    assert scene.begin(slow, [tier("other")]) is not None


def test_money_is_set_aside_for_a_call_and_what_is_left_counts_for_the_next():
    scene = Scene(asked(max_tokens=50), most_usd=100)
    assert scene.begin(tier(price=PRICE)) is not None
    assert scene.begin(tier("second", price=PRICE)) is None
    assert scene.reasons == ["the request's cost budget"]
    assert scene.begin(tier("free")) is not None


def test_a_call_without_a_limit_sets_aside_what_its_model_writes_as_a_rule():
    scene = Scene(most_usd=200)
    terse, wordy = tier("terse", price=PRICE), tier("wordy", price=PRICE)
    terse.pace.wrote(20, scene.now)
    assert scene.begin(wordy) is None
    assert scene.begin(terse) is not None


def test_where_nothing_could_be_paid_that_is_what_the_client_is_told():
    scene = Scene(most_usd=0)
    assert scene.admission.no_money is None
    scene.begin(tier(price=PRICE))
    assert isinstance(scene.admission.no_money, CostBudgetExceeded)
    limited = Scene(limits={Account("route", "faq"): Limit(1, Period.HOUR)})
    limited.begin(tier(price=PRICE))
    assert isinstance(limited.admission.no_money, CostBudgetExceeded)  # more than the whole limit: never
    small = replace(PRICE, output_usd_per_mtok=0)
    spent = Scene(limits={Account("route", "faq"): Limit(20, Period.HOUR)})
    spent.purse.reserve(19)
    spent.begin(tier(price=small))
    assert isinstance(spent.admission.no_money, SpendingLimitReached)
    assert spent.admission.retry_after_s == spent.admission.no_money.retry_after_s


def test_where_a_tier_was_asked_it_is_not_for_want_of_money():
    scene = Scene(most_usd=0)
    scene.begin()
    scene.begin(tier("dear", price=PRICE))
    assert scene.admission.no_money is None


def test_a_sick_tier_is_left_alone_and_its_money_given_back():
    scene = Scene(most_usd=1000)
    sick = tier("sick", price=PRICE)
    for _ in range(5):
        sick.health.admit("", scene.now).ended(failed(), scene.now)
    assert scene.begin(sick) is None
    assert scene.reasons == ["left alone to recover"]
    assert 0 < scene.admission.retry_after_s <= 6
    assert scene.purse._own.spent.own == 0


def test_a_tier_that_is_sick_for_one_form_is_asked_for_any_other():
    scene, other = Scene(asked(response_format=SCHEMA)), Scene()
    sick = tier()
    for _ in range(5):
        sick.health.admit(schema_key(scene.body), scene.now).ended(failed(FailureClass.SCHEMA), scene.now)
    assert scene.begin(sick) is None
    assert other.begin(sick) is not None
    assert scene.begin(sick, body=asked(), is_check=True) is not None


def test_a_hint_is_the_soonest_that_any_tier_gave_and_of_each_its_last():
    scene = Scene()
    assert scene.admission.retry_after_s == RETRY_AFTER_S
    first, second = tier("first"), tier("second")
    scene.admission.heard(first, scene.body, failed(FailureClass.RATE_LIMIT, retry_after_s=1))
    scene.admission.heard(second, scene.body, failed(FailureClass.RATE_LIMIT, retry_after_s=45))
    scene.admission.heard(first, scene.body, failed(FailureClass.RATE_LIMIT, retry_after_s=107))
    assert scene.admission.retry_after_s == 45


@pytest.mark.parametrize("form", [None, "text", {"type": "text"}, {}, []])
def test_any_text_is_no_form(form):
    assert schema_key(asked(response_format=form)) == ""


def test_a_form_is_told_by_what_it_says_and_not_by_the_order_in_which():
    other = {"json_schema": {"schema": {"type": "object"}, "name": "form"}, "type": "json_schema"}
    assert schema_key(asked(response_format=SCHEMA)) == schema_key(asked(response_format=other)) != ""
    assert schema_key(asked(response_format={"type": "json_object"})) != schema_key(asked(response_format=SCHEMA))
