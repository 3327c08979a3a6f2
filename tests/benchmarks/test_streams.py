"""What a stream's words say is what the service added between them, while all streams were under way."""

from __future__ import annotations

import asyncio
import os
import re
import sys

import pytest

from tests.benchmarks import streams
from tests.benchmarks.listening import Heard, Listener
from tests.benchmarks.load import WrongAnswer
from tests.benchmarks.processes import free_port, server
from tests.benchmarks.streams import Streaming, told

MS = 1_000_000


def test_what_is_added_is_what_lay_between_words_beyond_their_sending():
    late = Heard(sent=[0, 10 * MS, 20 * MS], came=[1 * MS, 11 * MS, 51 * MS])
    assert told([late], since=0, taken=0).added_ms.tolist() == [0, 30]


def test_only_words_are_counted_that_came_while_all_streams_spoke():
    early = Heard(sent=[0, 10 * MS, 20 * MS], came=[0, 10 * MS, 20 * MS])
    late = Heard(sent=[12 * MS, 22 * MS, 32 * MS], came=[12 * MS, 22 * MS, 90 * MS])
    round_ = told([early, late], since=12 * MS, taken=0)
    assert round_.added_ms.tolist() == [0]
    assert round_.words_per_s == pytest.approx(1 / 0.008)


@pytest.fixture
def provider(tmp_path):
    port = free_port()
    talking = [sys.executable, "-m", "tests.benchmarks.talking", str(port), "20", "0.02"]
    with server(talking, port, tmp_path, set(), "/"):
        yield port


def test_every_word_of_every_stream_is_heard(provider):
    questions = streams.NewQuestions({}, stream=True)
    played = streams.play(Streaming(provider, os.getpid(), questions), 8)
    assert played.timing.per_s > 0


async def test_a_stream_that_breaks_off_fails_the_run():
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'data: {"content":"sent12 "}\n\n')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as host:
        port = host.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        _, listener = await loop.create_connection(lambda: Listener(b"GET / HTTP/1.1\r\n\r\n"), "127.0.0.1", port)
        await listener.begun
        with pytest.raises(WrongAnswer, match=re.escape("after 1 words")):
            await listener.ended
    assert listener.heard.sent == [12]
