"""The whole service on loopback: the app over a real store and the real model, a simulated provider behind it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from itertools import count

import httpx
import openai
from servers import serve
from upstreams import Simulated

from cacheguard.cascade.retries import RetryBudget
from cacheguard.http.app import make_app
from cacheguard.settings import load
from cacheguard.simulate import Answers, simulated_provider
from cacheguard.wiring import Service

# FOLDER, PROVIDER and HOST (the provider without its version) are filled in. Every test file may add sections of its
# own. Tests that share a service break its provider on purpose: its models are never taken for ill.
PLACES = """
store: {url: "sqlite:///${FOLDER}/cache.db"}
index: {folder: "${FOLDER}/index"}
providers:
  host: {kind: openai, base_url: "${PROVIDER}", api_key: host-key-7f3a, breaker: {minimum_calls: 1000000}}
"""
ONE_TIER = """
tiers:
  strong: {provider: host, model: strong-model, price: {input_usd_per_mtok: 1000, output_usd_per_mtok: 2000}}
"""
SETTINGS = PLACES + ONE_TIER

LIMIT = "How do I raise my card limit?"
LIMIT_AGAIN = "How do I raise my card limit, please?"  # near-exact; 0.99 in the bundled model
PARCEL = "How long does a parcel take?"

CHAT = "/v1/chat/completions"
_askers = count(1)


class Clock:
    """Unix seconds that pass only when a test says so."""

    def __init__(self):
        self._now = 1_800_000_000.0

    def __call__(self):
        return self._now

    def passes(self, seconds):
        self._now += seconds


class Gate:
    """ASGI middleware that holds back chat completions while it is shut."""

    def __init__(self, app):
        self._app = app
        self._open = threading.Event()
        self._open.set()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"] == CHAT:
            await asyncio.to_thread(self._open.wait)
        await self._app(scope, receive, send)

    def open(self):
        self._open.set()

    @contextmanager
    def shut(self):
        self._open.clear()
        try:
            yield
        finally:
            self.open()


class Running:
    """A service, its clock, and the provider that it asks."""

    def __init__(self, *, service, url, clock, provider, gate, stop):
        """stop: ask the server to stop, and wait until it has."""
        self.service = service
        self.url = url
        self.clock = clock
        self.provider = provider
        self.gate = gate
        self.stop = stop
        self._askers = ExitStack()

    def asker(self, **rest):
        """Whoever asks in a partition that nobody else asks in, of tiers that are well. rest: as for Asker."""
        self.recover()
        asker = Asker(self.url, **rest)
        self._askers.callback(asker.close)
        return asker

    def recover(self):
        """What was done to the tiers is forgotten: none is left alone to recover, and all may be asked again."""
        self.service.corridor._upstream._cascade.retries = RetryBudget()
        for tier in self.service.tiers.values():
            tier.health.forget()

    def close(self):
        self._askers.close()

    def behaves(self):
        """The provider answers from now on, and nobody holds against it what it did before.

        What an earlier test began behind a client's back is over: it would be counted with this one's calls.
        """
        for _ in range(5000):
            if not self.service.corridor._upstream._flights._tasks:
                break
            self.provider.calls  # noqa: B018 - every look gives both servers a turn
        self.provider.play()
        self.recover()

    def metric(self, name, **labels):
        """What a counter stands at."""
        return self.service.registry.get_sample_value(name, labels) or 0.0

    async def waits_for(self, condition):
        """Until the condition holds: every look gives both servers a turn."""
        for _ in range(5000):
            if condition():
                return
            await asyncio.to_thread(lambda: self.provider.calls)
        raise AssertionError(self.provider.calls)

    @property
    def waiting(self):
        """How many wait for calls to the tiers that have not begun to answer: each holds its flight twice."""
        return sum(flight._waiting for flight in self.service.corridor._upstream._flights._by_key.values()) // 2


class Asker:
    """One HTTP client, whose questions meet only answers to its own.

    A field that the service does not know is part of the scope: each asker sends one of its own.
    """

    def __init__(self, url, *, key="", route="", aside=None, **headers):
        """aside: fields of every body. headers: with `_` for `-`."""
        self._url = url
        self.key = key or "none"
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            self.headers["Authorization"] = f"Bearer {key}"
        if route:
            self.headers["X-CacheGuard-Route"] = route
        self.aside = {"asker": next(_askers)} if aside is None else aside
        self._http = httpx.Client(base_url=self._url, timeout=30, headers=self.headers)

    def body(self, prompt=LIMIT, **rest):
        messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
        return {"model": "default", "messages": messages, **self.aside, **rest}

    def ask(self, prompt=LIMIT, *, cache_control=None, **rest):
        headers = {"Cache-Control": cache_control} if cache_control else {}
        return self._http.post(CHAT, json=self.body(prompt, **rest), headers=headers)

    def status(self, prompt=LIMIT, **rest):
        """What Cache-Status says of asking this."""
        return cache_status(self.ask(prompt, **rest))

    async def ask_all(self, *bodies):
        """All at once, each on a connection of its own."""
        async with self.at_once() as http:
            return await asyncio.gather(*(http.post(CHAT, json=body) for body in bodies))

    @asynccontextmanager
    async def at_once(self):
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=self._url, timeout=60, headers=self.headers, limits=limits) as http:
            yield http

    def post(self, path, **rest):
        return self._http.post(path, **rest)

    def get(self, path, **rest):
        return self._http.get(path, **rest)

    def delete(self, path):
        return self._http.delete(path)

    def feedback(self, response, verdict, **rest):
        return self.post("/v1/feedback", json={"id": id_of(response), "verdict": verdict, **rest})

    @property
    def openai(self):
        return openai.OpenAI(base_url=f"{self._url}/v1", api_key=self.key, max_retries=0, timeout=30)

    @property
    def async_openai(self):
        return openai.AsyncOpenAI(base_url=f"{self._url}/v1", api_key=self.key, max_retries=0, timeout=30)

    def close(self):
        self._http.close()


@contextmanager
def running(folder, settings=SETTINGS, *known, clock=None):
    """A service that is ready. settings: a text. known: (prompt, answer) pairs of the provider."""
    gate = Gate(simulated_provider(Answers(known)))
    with serve(gate) as provider_url, httpx.Client(base_url=provider_url, timeout=10) as admin:
        provider = Simulated(provider_url, admin)
        clock = clock or Clock()
        service = Service(settings_in(folder, settings, provider.base_url), clock)
        with ExitStack() as serving:
            url = serving.enter_context(serve(make_app(service, on_failed_start)))
            wait_until_ready(url)
            parts = {"service": service, "url": url, "clock": clock, "provider": provider, "gate": gate}
            with closing(Running(**parts, stop=serving.close)) as running:
                yield running


def settings_in(folder, text, provider_url="http://127.0.0.1:9/v1"):
    file = folder / "cacheguard.yaml"
    file.write_text(text)
    places = {"FOLDER": str(folder), "PROVIDER": provider_url, "HOST": provider_url.removesuffix("/v1")}
    return load(file, places, folder).settings


def on_failed_start(error):
    raise error


def wait_until_ready(url):
    with httpx.Client(base_url=url, timeout=10) as http:
        while http.get("/readyz").status_code != httpx.codes.OK:
            pass


def cache_status(response):
    assert response.status_code == httpx.codes.OK, response.text
    return response.headers["cache-status"].removeprefix("cacheguard; ")


def text_of(response):
    """What a response says, streamed or not."""
    if response.headers["content-type"].startswith("application/json"):
        return response.json()["choices"][0]["message"]["content"]
    deltas = [choice["delta"] for event in events(response) for choice in event.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)


def id_of(response):
    is_json = response.headers["content-type"].startswith("application/json")
    return response.json()["id"] if is_json else events(response)[0]["id"]


def events(response):
    """The events of a stream but for its end marker."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    return [httpx.Response(200, text=line).json() for line in lines if line != "[DONE]"]


def ended(response):
    """Whether a stream has its end marker."""
    return response.text.endswith("data: [DONE]\n\n")
