"""The commit gate over real sockets: unseen failures before the first word, broken streams after it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
import pytest_asyncio
from upstreams import ONE_HOUR_MS, asked, delta, gathered, passes, text_of, tier_of, under_way, verbatim

from cacheguard.cascade.stream import HELD_LIMIT, OpenStream, open_stream
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Call, Completion, Finish
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.openai import ChatCompletions

# One loop for all tests here: a provider's connections belong to it.
pytestmark = pytest.mark.asyncio(loop_scope="module")

KNOWN = "Card limits change at once, and the app shows the new one."
CALL = Call("gpt", asked())
DONE = b"data: [DONE]"
# Long for a test, so that only a clock which must not run can end it.
PATIENT_S = 60


@pytest.fixture(scope="module")
def plain_host():
    with verbatim() as host:
        yield host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def verbatim_provider(plain_host):
    provider = HttpProvider(ChatCompletions(), Host(plain_host.base_url))
    yield provider
    await provider.aclose()


async def opened(provider, *, first_token_s=PATIENT_S, silence_s=PATIENT_S, total_s=PATIENT_S):
    tier = tier_of(provider, first_token_s=first_token_s, silence_s=silence_s)
    return await open_stream(CALL, under_way(tier, limit_s=total_s), passes)


async def read_until_it_breaks(stream):
    """The chunks that came, and the failure that ended them."""
    chunks = []

    async def read():
        async for chunk in stream.chunks():
            chunks.append(chunk)  # noqa: PERF401 - those before the failure count

    with pytest.raises(AttemptFailed) as raised:
        await read()
    return chunks, raised.value


async def test_an_open_stream_gives_all_chunks_and_the_completion_that_they_add_up_to(simulator, provider):
    simulator.play()
    stream = await opened(provider)
    chunks = await gathered(stream.chunks())
    completion = stream.completion()
    assert text_of(chunks) == completion.text == KNOWN
    assert (completion.finish, completion.model) == (Finish.STOP, "gpt")
    assert completion.usage.output == len(KNOWN.split())


async def test_role_only_deltas_are_held_back_until_the_first_word(simulator, provider):
    simulator.play({"first_token_ms": ONE_HOUR_MS})
    opening = asyncio.create_task(opened(provider))
    await simulator.wait_for(in_flight=1)
    assert not opening.done()
    opening.cancel()
    await asyncio.wait([opening])
    await simulator.wait_for(in_flight=0, cancelled=1)


async def test_what_was_held_back_is_given_first_and_once(plain_host, verbatim_provider):
    opening = [delta(role="assistant"), delta(role="assistant", content="")]
    said = [*opening, delta(content="Yes."), delta("stop")]
    plain_host.streams(*said, DONE)
    stream = await opened(verbatim_provider)
    assert [chunk.body for chunk in await gathered(stream.chunks())] == said
    assert stream.completion().text == "Yes."


@pytest.mark.parametrize("said", [{"reasoning_content": "Hm."}, {"tool_calls": [{"index": 0}]}])
async def test_reasoning_and_tool_calls_open_the_gate(plain_host, verbatim_provider, said):
    plain_host.streams(delta(role="assistant"), delta(**said), {"error": {"message": "Overloaded"}})
    chunks, _ = await read_until_it_breaks(await opened(verbatim_provider))
    assert len(chunks) == 2


async def test_a_refusal_however_long_stays_behind_the_gate_since_another_tier_may_answer(
    plain_host, verbatim_provider
):
    refused = [delta(refusal="No. ")] * (HELD_LIMIT + 1)
    plain_host.streams(delta(role="assistant"), *refused, delta("stop"), DONE)
    completion = await opened(verbatim_provider)
    assert not isinstance(completion, OpenStream)
    assert completion.refusal == "No. " * len(refused)


async def test_a_stream_that_holds_back_its_first_word_for_too_long_is_empty(plain_host, verbatim_provider):
    opening = [delta(role="assistant")] * (HELD_LIMIT + 1)
    plain_host.streams(*opening, delta(content="Yes."), delta("stop"), DONE)
    with pytest.raises(AttemptFailed) as raised:
        await opened(verbatim_provider)
    assert raised.value.failure is FailureClass.EMPTY
    plain_host.streams(*opening[1:], delta(content="Yes."), delta("stop"), DONE)
    assert isinstance(await opened(verbatim_provider), OpenStream)


@pytest.mark.parametrize("reason", ["stop", "content_filter"])
async def test_a_stream_without_a_word_comes_back_as_the_completion_it_is(simulator, provider, reason):
    simulator.play({"text": "", "finish_reason": reason})
    completion = await opened(provider)
    assert isinstance(completion, Completion)
    assert (completion.text, completion.finish) == ("", Finish(reason))


@pytest.mark.parametrize(
    ("then", "failure"),
    [
        ({"error_after_tokens": 0}, FailureClass.TRANSPORT),
        ({"cut_after_tokens": 0}, FailureClass.TRANSPORT),
        ({"text": "", "no_end_marker": True}, FailureClass.TRUNCATED),
        ({"status": 429}, FailureClass.RATE_LIMIT),
        ({"connection": "reset"}, FailureClass.TRANSPORT),
    ],
    ids=str,
)
async def test_a_failure_before_the_first_word_is_a_failed_attempt(simulator, provider, then, failure):
    simulator.play(then)
    with pytest.raises(AttemptFailed) as raised:
        await opened(provider)
    assert raised.value.failure is failure


@pytest.mark.parametrize(
    ("then", "failure"),
    [
        ({"error_after_tokens": 3}, FailureClass.TRANSPORT),
        ({"cut_after_tokens": 3}, FailureClass.TRANSPORT),
        ({"no_end_marker": True}, FailureClass.TRUNCATED),
        ({"finish_reason": None}, FailureClass.TRUNCATED),
    ],
    ids=str,
)
async def test_a_failure_after_the_first_word_breaks_the_stream(simulator, provider, then, failure):
    simulator.play(then)
    stream = await opened(provider)
    chunks, failed = await read_until_it_breaks(stream)
    assert failed.failure is failure
    assert KNOWN.startswith(text_of(chunks))
    assert text_of(chunks).startswith("Card limits change ")
    assert stream.completion().text == text_of(chunks)


@pytest.mark.parametrize("then", [{"no_end_marker": True}, {"finish_reason": None}], ids=str)
async def test_a_clean_end_of_file_is_never_taken_for_stop(simulator, provider, then):
    simulator.play(then)
    stream = await opened(provider)
    await read_until_it_breaks(stream)
    assert stream.completion().finish is Finish.UNKNOWN


@pytest.mark.parametrize("then", [{"connection": "hang"}, {"first_token_ms": ONE_HOUR_MS}], ids=str)
@pytest.mark.parametrize("clock", [{"first_token_s": 0.05}, {"total_s": 0.05}], ids=str)
async def test_a_first_word_that_takes_too_long_is_slow_and_hung_up_on(simulator, provider, then, clock):
    simulator.play(then)
    with pytest.raises(AttemptFailed, match="first token") as raised:
        await opened(provider, **clock)
    assert raised.value.failure is FailureClass.SLOW
    await simulator.wait_for(total=1, in_flight=0)


async def test_the_total_time_out_ends_a_stream_in_its_middle_and_hangs_up(simulator, provider):
    simulator.play({"between_tokens_ms": ONE_HOUR_MS})
    stream = await opened(provider, total_s=1)
    chunks, failed = await read_until_it_breaks(stream)
    assert (failed.failure, text_of(chunks)) == (FailureClass.SLOW, "Card ")
    await simulator.wait_for(in_flight=0, cancelled=1)


async def test_the_first_words_clock_stops_with_the_first_word(simulator, provider):
    simulator.play({"between_tokens_ms": ONE_HOUR_MS})
    stream = await opened(provider, first_token_s=1, total_s=1.5)
    _, failed = await read_until_it_breaks(stream)
    assert str(failed) == "the answer took too long"


async def test_a_silence_in_the_middle_ends_a_stream_long_before_its_total_time(simulator, provider):
    simulator.play({"between_tokens_ms": ONE_HOUR_MS})
    stream = await opened(provider, silence_s=0.2)
    chunks, failed = await read_until_it_breaks(stream)
    assert (failed.failure, str(failed), text_of(chunks)) == (
        FailureClass.SLOW,
        "the next token took too long",
        "Card ",
    )
    await simulator.wait_for(in_flight=0, cancelled=1)


async def test_time_that_runs_out_while_the_reader_is_busy_is_the_streams_failure(simulator, provider):
    simulator.play({"between_tokens_ms": 200})
    stream = await opened(provider, total_s=1)
    too_late = asyncio.get_running_loop().time() + 1

    async def read_slowly():
        async for _ in stream.chunks():
            if stream.completion().text == "Card limits ":
                await asyncio.sleep(too_late - asyncio.get_running_loop().time())

    with pytest.raises(AttemptFailed, match="too long"):
        await read_slowly()
    assert asyncio.current_task().cancelling() == 0


async def test_a_reader_that_stops_in_the_middle_hangs_up(simulator, provider):
    simulator.play({"between_tokens_ms": ONE_HOUR_MS})
    stream = await opened(provider)
    async with aclosing(stream.chunks()) as chunks:
        async for chunk in chunks:
            if chunk.speaks:
                break
    await simulator.wait_for(in_flight=0, cancelled=1)
    assert stream.completion().text == "Card "


async def test_a_reader_that_is_cancelled_hangs_up(simulator, provider):
    simulator.play({"between_tokens_ms": ONE_HOUR_MS})
    stream = await opened(provider)
    reading = asyncio.create_task(gathered(stream.chunks()))
    await simulator.wait_for(in_flight=1)
    reading.cancel()
    await asyncio.wait([reading])
    await simulator.wait_for(in_flight=0, cancelled=1)


async def test_a_stream_that_nobody_reads_can_be_let_go(simulator, provider):
    simulator.play({"between_tokens_ms": ONE_HOUR_MS})
    await (await opened(provider)).aclose()
    await simulator.wait_for(in_flight=0, cancelled=1)
