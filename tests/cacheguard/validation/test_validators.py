"""Which answers may be given, and which may be kept."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Finish
from cacheguard.providers.chat_shape import write_completion
from cacheguard.validation import REGISTRY
from cacheguard.validation.base import may_be_kept, validate
from cacheguard.validation.complete import Complete
from cacheguard.validation.not_empty import NotEmpty
from cacheguard.validation.not_refusal import NotRefusal


def said(text, **facts):
    return replace(write_completion(text, "gpt-5", 0), **facts)


def failure(validator, completion, request=None):
    objection = validator.objection(completion, request or {})
    return objection and objection.failure


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "I'm sorry. I can't help with that.",
    "Sorry! I can't help with that.",
    "I'm so sorry.\n\nI cannot assist with this.",
    "Sorry, I can't help you with this.",
    "I'm really sorry, but I'm not able to provide the help that you need.",
    "I'm sorry, but as an AI I cannot answer that.",
    "I'm sorry, but I won't be able to help with that.",
    "I'm sorry Dave, I'm afraid I can't do that.",
    "I cannot assist with that.",
    "I can not help you with that",
    "i can't help with that",
    "I CANNOT HELP WITH THAT.",
    "I apologize, but I cannot provide that information.",
    "I apologise, but I am unable to assist with this request.",
    "My apologies, but I'm unable to provide that.",
    "Regrettably, I'm unable to comply.",
    "Unfortunately, I can't provide assistance with that.",
    "As an AI language model, I cannot provide legal advice.",
    "As an AI, I can't engage in that kind of conversation.",
    "Thank you for asking, but I cannot share personal data of others.",
    "I'm unable to help with that request.",
    "I am not able to help with that.",
    "I'm not able to discuss that topic.",
    "I'm afraid I can't help with that.",
    "I must decline to answer this question.",
    "I have to decline to answer.",
    "I'll have to decline.",
    "I must refuse.",
    "I will not help with that.",
    "I won't do that.",
    "I can't comply with that request.",
    "I cannot fulfill this request.",
    "I cannot fulfil that request.",
    "I can't continue with this.",
    "I can’t create that kind of content.",
    "I can't support that request",
    "I cannot in good conscience help with this.",
    "I cannot and will not help with that.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_no_answer(text):
    assert failure(NotRefusal(), said(text)) is FailureClass.REFUSAL


ANSWERS = [
    "I'm sorry to hear that your card was stolen. Please block it in the app at once.",
    "I'm sorry about the delay. Your parcel leaves tomorrow.",
    "I'm sorry. The branch was closed on Monday; it is open again today.",
    "We're sorry, but we can't refund shipping costs; the item itself is refunded within five days.",
    "I apologise for the wait! Your balance is shown on the first screen.",
    "You can't cancel an order once it has shipped, but you can return it within 30 days.",
    "You are unable to change the address after dispatch. Contact the carrier instead.",
    "Unfortunately, your card cannot be used abroad until you activate it.",
    "It can't be changed online. Visit a branch with your passport.",
    "We cannot accept returns without a receipt. A photo of it is enough.",
    "No. We do not accept cheques.",
    "I can help you with that! Open the app and choose Cards.",
    "I can't wait to help you set up your account! First, open Settings.",
    "I can't help but notice that you asked about two cards; here is how to merge them.",
    "I can't stress enough how important it is to keep your PIN secret.",
    "I can't see any pending payment on this page, so it has already been booked.",
    "I won't keep you waiting: your limit is 500 euros a day.",
    "I won't charge you anything for that: changes are free.",
    "I cannot recommend this plan enough: it has no fee and covers every country.",
    "I'm not able to see your balance, but you find it on the first screen of the app.",
    "I'd be happy to help. Which country are you in?",
    "I understand that you can't log in. Choose «Forgot password» and follow the link.",
    "If I understand you correctly, you cannot answer the security question. Call us, and we reset it.",
    "The transfer was declined because the daily limit was reached. Raise it under Limits.",
    "A card payment may be declined when the PIN is wrong three times.",
    "If the shop refuses your card, try another terminal.",
    "Your request was refused by the merchant's bank. Ask them for the reason code.",
    "Please don't share your PIN with anyone; we will never ask for it.",
    "I can confirm that your account is active.",
    "I see why that is confusing: the fee is charged once a month.",
    "To turn an invitation down politely, write that you would love to come. I can't help with the flowers.",
    "That depends. Refunds take 3 to 5 days by card and up to 10 by transfer.",
    "Hawaii can help. Wi-Fi can't provide a wired line.",
    "Yes.",
    "42",
]


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_that_regrets_or_quotes_is_no_refusal(text):
    assert failure(NotRefusal(), said(text)) is None


def test_a_models_own_refusal_counts_whatever_the_text():
    assert failure(NotRefusal(), said("", refusal="No.")) is FailureClass.REFUSAL
    assert failure(NotRefusal(), said("Open the app.", refusal="No.")) is FailureClass.REFUSAL


@pytest.mark.parametrize("finish", Finish)
@pytest.mark.parametrize("limit", [{}, {"max_tokens": 5}, {"max_completion_tokens": 5}, {"max_tokens": None}])
def test_an_answer_is_complete_unless_something_but_the_client_cut_it(finish, limit):
    expected = {
        Finish.LENGTH: None if any(limit.values()) else FailureClass.TRUNCATED,
        Finish.UNKNOWN: FailureClass.TRUNCATED,
        Finish.CONTENT_FILTER: FailureClass.CONTENT_FILTER,
    }
    assert failure(Complete(), said("In two", finish=finish), limit) is expected.get(finish)


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (said("Yes."), None),
        (said("0"), None),
        (said(""), FailureClass.EMPTY),
        (said(" \n\t\u3000"), FailureClass.EMPTY),
        (said("", finish=Finish.LENGTH), FailureClass.TRUNCATED),
        (said("In", finish=Finish.LENGTH), None),  # complete's business
        (said("", has_tool_calls=True), None),
        (said("", refusal="No."), None),  # not_refusal's business
    ],
)
def test_an_answer_says_something(completion, expected):
    assert failure(NotEmpty(), completion) is expected


async def test_the_first_objection_counts_and_brings_what_came():
    cut = said(REFUSALS[0], finish=Finish.UNKNOWN)
    with pytest.raises(AttemptFailed) as caught:
        await validate(cut, {}, [NotEmpty(), Complete(), NotRefusal()])
    assert caught.value.failure is FailureClass.TRUNCATED
    assert caught.value.completion is cut


async def test_without_objection_validation_is_silent():
    await validate(said("Yes."), {}, [make() for make in REGISTRY.values()])


def test_every_validator_is_registered_under_its_own_name():
    assert {name: make().name for name, make in REGISTRY.items()} == {
        name: name for name in ("not_empty", "complete", "not_refusal")
    }


@pytest.mark.parametrize(
    ("finish", "text", "refusal", "has_tool_calls"),
    list(itertools.product(Finish, ["Yes.", " "], ["", "No."], [False, True])),
)
def test_only_a_whole_text_of_the_models_own_free_will_is_kept(finish, text, refusal, has_tool_calls):
    kept = may_be_kept(said(text, finish=finish, refusal=refusal, has_tool_calls=has_tool_calls))
    assert kept is ((finish, text, refusal, has_tool_calls) == (Finish.STOP, "Yes.", "", False))


@given(st.text(), st.sampled_from(Finish), st.text(max_size=2), st.booleans())
def test_what_may_be_kept_passes_every_cheap_check(text, finish, refusal, has_tool_calls):
    completion = said(text, finish=finish, refusal=refusal, has_tool_calls=has_tool_calls)
    if may_be_kept(completion):
        assert failure(NotEmpty(), completion) is None
        assert failure(Complete(), completion) is None


@given(st.text(st.sampled_from("i can't help, sorry.!?\n’")))
def test_no_text_breaks_the_search_for_refusals(text):
    assert failure(NotRefusal(), said(text)) in {None, FailureClass.REFUSAL}
