"""Miss, stored, exact hit, semantic hit: what clients see of each, streamed and not, through OpenAI's own clients."""

from __future__ import annotations

import re

import pytest
from services import LIMIT, LIMIT_AGAIN, PARCEL, cache_status, ended, events, text_of


@pytest.mark.parametrize("stream", [False, True])
def test_a_question_is_asked_once_and_then_answered_from_the_cache(service, asker, provider, stream):
    first = asker.ask(stream=stream)
    service.clock.passes(60)
    exact = asker.ask("  how do i RAISE my card limit  ", stream=stream)
    semantic = asker.ask(LIMIT_AGAIN, stream=stream)

    assert cache_status(first) == ("fwd=miss; fwd-status=200" if stream else "fwd=miss; fwd-status=200; stored")
    assert cache_status(exact) == "hit; ttl=86340; detail=exact"
    assert cache_status(semantic) == "hit; ttl=86340; detail=semantic"
    assert text_of(first) == text_of(exact) == text_of(semantic) != ""
    assert provider.calls["total"] == 1


def test_a_miss_tells_who_wrote_the_answer_and_what_it_cost(asker, provider):
    provider.play({"text": "In the app, under cards."})
    headers = asker.ask().headers
    assert headers["x-cacheguard-tier"] == "strong"
    assert headers["x-cacheguard-attempts"] == "1"
    assert headers["x-cacheguard-cost-usd"] == "0.017000"  # 7 tokens in, 5 out
    assert re.fullmatch(r"ans_[0-9a-f]{20}", headers["x-cacheguard-entry"])
    assert headers["x-request-id"].startswith("req_")
    assert "age" not in headers
    assert "x-cacheguard-similarity" not in headers


@pytest.mark.parametrize("stream", [False, True])
def test_a_hit_tells_its_age_its_entry_and_how_near_it_is(service, asker, stream):
    entry = asker.ask().headers["x-cacheguard-entry"]
    service.clock.passes(125.5)
    exact, semantic = asker.ask(stream=stream).headers, asker.ask(LIMIT_AGAIN, stream=stream).headers
    for headers in (exact, semantic):
        assert headers["age"] == "125"
        assert headers["x-cacheguard-entry"] == entry
        assert headers["x-cacheguard-tier"] == "strong"
        assert headers["x-cacheguard-attempts"] == "0"
        assert headers["x-cacheguard-cost-usd"] == "0.000000"
    assert exact["x-cacheguard-similarity"] == "1.0000"
    assert 0.97 < float(semantic["x-cacheguard-similarity"]) < 1


def test_another_question_is_another_answer(asker):
    assert text_of(asker.ask(LIMIT)) != text_of(asker.ask(PARCEL))


def test_openais_client_reads_misses_and_hits(asker):
    with asker.openai as client:
        asked = {**asker.body(), "extra_body": asker.aside}
        asked.pop("asker")
        missed = client.chat.completions.create(**asked)
        raw = client.chat.completions.with_raw_response.create(**asked)
        hit = raw.parse()
    assert raw.headers["cache-status"] == "cacheguard; hit; ttl=86400; detail=exact"
    assert hit.choices[0].message.content == missed.choices[0].message.content
    assert hit.choices[0].finish_reason == "stop"
    assert hit.usage.total_tokens == 0
    assert missed.usage.total_tokens > 0
    assert hit.model == missed.model == "strong-model"
    assert hit.id != missed.id


def test_openais_client_reads_streams_of_misses_and_hits(asker):
    with asker.openai as client:
        asked = {"model": "default", "messages": asker.body()["messages"], "extra_body": asker.aside, "stream": True}
        missed = list(client.chat.completions.create(**asked))
        raw = client.chat.completions.with_raw_response.create(**asked)
        hit = list(raw.parse())
    assert raw.headers["cache-status"] == "cacheguard; hit; ttl=86400; detail=exact"
    for chunks in (missed, hit):
        assert len({chunk.id for chunk in chunks}) == 1
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert all(chunk.usage is None for chunk in chunks)
    said = ["".join(chunk.choices[0].delta.content or "" for chunk in chunks) for chunks in (missed, hit)]
    assert said[0] == said[1] != ""


async def test_openais_async_client_reads_both(asker):
    async with asker.async_openai as client:
        asked = {"model": "default", "messages": asker.body()["messages"], "extra_body": asker.aside}
        missed = await client.chat.completions.create(**asked)
        stream = await client.chat.completions.create(**asked, stream=True)
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert said == missed.choices[0].message.content


@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN])
def test_a_stream_tells_usage_to_who_asks_for_it(asker, prompt):
    options = {"include_usage": True}
    missed, hit = (asker.ask(each, stream=True, stream_options=options) for each in (LIMIT, prompt))
    for response, is_counted in ((missed, True), (hit, False)):
        *_, last = events(response)
        assert last["choices"] == []
        assert (last["usage"]["total_tokens"] > 0) is is_counted
        assert ended(response)


def test_what_was_streamed_is_a_hit_for_who_does_not_stream_and_the_other_way_round(asker):
    streamed, plain = asker.ask(LIMIT, stream=True), asker.ask(PARCEL)
    assert (asker.status(LIMIT), asker.status(PARCEL, stream=True)) == ("hit; ttl=86400; detail=exact",) * 2
    assert text_of(asker.ask(LIMIT)) == text_of(streamed)
    assert text_of(asker.ask(PARCEL, stream=True)) == text_of(plain)


def test_answers_survive_a_restart(tmp_path):
    from services import running  # noqa: PLC0415

    with running(tmp_path) as before:
        asker = before.asker()
        said = text_of(asker.ask())
    with running(tmp_path, clock=before.clock) as after:
        again = after.asker(aside=asker.aside)
        assert (again.status(), again.status(LIMIT_AGAIN)) == (
            "hit; ttl=86400; detail=exact",
            "hit; ttl=86400; detail=semantic",
        )
        assert text_of(again.ask(LIMIT_AGAIN)) == said
        assert after.provider.calls["total"] == 0
