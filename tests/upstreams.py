"""Hosts of models on loopback: one that misbehaves on a script, and one that says exactly what it is told."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, contextmanager
from random import Random

import httpx
from servers import serve
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from cacheguard.cascade.cascade import Cascade
from cacheguard.cascade.plan import Plan
from cacheguard.cascade.spending import Ledger
from cacheguard.cascade.tier import Tier
from cacheguard.cascade.under_way import UnderWay
from cacheguard.simulate import Answers, simulated_provider

# Longer than any test: a pause that only the client's leaving ends.
ONE_HOUR_MS = 3_600_000

SSE = "text/event-stream"


class Simulated:
    """A running simulated provider and the script that it plays."""

    def __init__(self, url, http):
        self.url = url
        self.base_url = f"{url}/v1"
        self._http = http

    def play(self, *rules):
        """These rules from now on; a bare `then` is a rule for every call. Forgets the calls so far."""
        rules = [rule if "then" in rule else {"then": rule} for rule in rules]
        self._http.put("/_simulate/script", json={"rules": rules}).raise_for_status()

    @property
    def calls(self):
        return self._http.get("/_simulate/calls").json()

    async def wait_for(self, **expected):
        """Ask until the counts are these: each question gives both loops a turn."""
        for _ in range(5000):
            calls = await asyncio.to_thread(lambda: self.calls)
            if expected.items() <= calls.items():
                return
        raise AssertionError(calls)


@contextmanager
def simulated(*known):
    """known: (prompt, answer) pairs."""
    with serve(simulated_provider(Answers(known))) as url, httpx.Client(base_url=url, timeout=10) as http:
        yield Simulated(url, http)


class Verbatim:
    """A host that gives every call the same bytes.

    requests: what it was asked, as (headers, body). addresses: where, from the path on.
    """

    def __init__(self):
        self.requests = []
        self.addresses = []
        self.url = self.base_url = ""
        self.says(b"")

    def says(self, content, *, status=200, kind="application/json", **headers):
        """headers: with `_` for `-`."""
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._response = lambda: Response(content, status, named, kind)

    def streams(self, *events):
        """events: bodies of chunks, or lines as they are."""
        lines = (event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() for event in events)
        self.says(b"".join(line + b"\n\n" for line in lines), kind=SSE)

    async def answer(self, request):
        self.requests.append((request.headers, await request.json()))
        self.addresses.append(str(request.url).removeprefix(str(request.base_url)))
        return self._response()


@contextmanager
def verbatim():
    host = Verbatim()
    with serve(Starlette(routes=[Route("/{path:path}", host.answer, methods=["POST"])])) as url:
        host.url, host.base_url = url, f"{url}/v1"
        yield host


class Held:
    """A provider that answers as another one does, but not before it is let go. under_way: calls that have not ended.

    in_turns: it is let go by itself when the loop has turned so often.
    """

    def __init__(self, provider, *, in_turns=None):
        self._provider = provider
        self._in_turns = in_turns
        self.is_asked = asyncio.Event()
        self.let_go = asyncio.Event()
        self.under_way = 0

    async def complete(self, call):
        with self._counted():
            await self._wait()
            return await self._provider.complete(call)

    async def stream(self, call):
        with self._counted():
            await self._wait()
            async with aclosing(self._provider.stream(call)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _wait(self):
        if self._in_turns is None:
            await self.let_go.wait()
        for _ in range(self._in_turns or 0):
            await asyncio.sleep(0)

    @contextmanager
    def _counted(self):
        self.under_way += 1
        self.is_asked.set()
        try:
            yield
        finally:
            self.under_way -= 1


def delta(finish_reason=None, **said):
    """A chunk's body with one choice."""
    choice = {"index": 0, "delta": said, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def asked(prompt="How do I raise my limit?", **rest):
    """The body of a request."""
    return {"model": "faq", "messages": [{"role": "user", "content": prompt}], **rest}


async def gathered(chunks):
    return [chunk async for chunk in chunks]


def text_of(chunks):
    """What chunks say, all in all."""
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.body["choices"])


def unseen(attempt):
    """An attempt that nobody counts."""


async def passes(completion):
    """Whatever a stream came to."""


def under_way(tier, *, limit_s=60):
    """A call to a tier that is well, for which there is money."""
    purse = Ledger({}).purse("tenant", "route", None, now=0.0)
    clock = asyncio.get_running_loop().time
    leave = tier.health.admit("", clock())
    return UnderWay(tier, leave, purse.reserve(0.0), limit_s=limit_s, input_tokens=0, clock=clock, observe=unseen)


async def ask_tiers(tiers, body=None, *, cascade=None, stream=False, observe=unseen, **plan):
    """What a cascade comes to. plan: beside the tiers."""
    purse = Ledger({}).purse("tenant", "route", plan.get("max_cost_usd"), now=0.0)
    cascade = cascade or Cascade(Random(), {tier.name: tier for tier in tiers})
    return await cascade.ask(Plan(tuple(tiers), **plan), body or asked(), purse=purse, stream=stream, observe=observe)


def tier_of(provider, *, first_token_s=60, silence_s=60):
    """A tier of this provider, patient where nothing else is said."""
    return Tier("tier", provider, "model", 60, first_token_s, silence_s)
