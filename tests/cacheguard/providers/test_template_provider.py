"""A template answers every call alike, plain or streamed, and costs nothing."""

from __future__ import annotations

from upstreams import asked, gathered, text_of

from cacheguard.providers.base import Call, Finish, Usage
from cacheguard.providers.chat_shape import Joining
from cacheguard.providers.template import TemplateProvider

SORRY = "We can't answer that right now. Please try again in a few minutes."
CALL = Call("sorry", asked())


async def test_a_template_is_a_whole_answer_that_cost_nothing():
    completion = await TemplateProvider(SORRY).complete(CALL)
    assert (completion.text, completion.finish, completion.model) == (SORRY, Finish.STOP, "sorry")
    assert completion.usage == Usage()
    assert completion.body["choices"][0]["message"] == {"role": "assistant", "content": SORRY, "refusal": None}


async def test_a_templates_stream_joins_to_the_same_answer():
    chunks = await gathered(TemplateProvider(SORRY).stream(CALL))
    joining = Joining()
    for chunk in chunks:
        joining.add(chunk)
    joined = joining.completion()
    assert text_of(chunks) == joined.text == SORRY
    assert (joined.finish, joined.usage, joined.model) == (Finish.STOP, Usage(), "sorry")
    assert {chunk.body["object"] for chunk in chunks} == {"chat.completion.chunk"}


async def test_a_template_can_be_closed_and_goes_on():
    provider = TemplateProvider(SORRY)
    await provider.aclose()
    assert (await provider.complete(CALL)).text == SORRY
