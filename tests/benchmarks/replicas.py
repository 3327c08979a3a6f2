"""Four replicas on one Redis: what one writes at the others, calls that are shared, a Redis that is killed, and walls.

Each replica is `cacheguard serve`; they, the Redis, the provider and the load share the machine. Run it with
`python -m tests.benchmarks replicas`, or one part alone: `python -m tests.benchmarks.replicas mixed|killed|walls`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table

from cacheguard.stores.base import Filter
from cacheguard.stores.redis import RedisStore
from cacheguard.stores.redis_place import read_place
from tests import redis_binary
from tests.benchmarks.asking import PATH, logs, prompts
from tests.benchmarks.misses import get
from tests.benchmarks.paced import Answer, Client
from tests.benchmarks.processes import PROGRAM, environment, free_port, server, write
from tests.redis_servers import RedisServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

REPLICAS = 4
SECONDS = 60
# What is wanted of it: where two cores do less, the figures say so.
A_SECOND = 2_000
HOT = 400
NEW_A_SECOND = 10
PROBES_A_SECOND = 5
PROVIDER_MS = 50
KILLS = 10
KILLED_A_SECOND = 200
LOOK_UPS = 100_000
TENANTS = ("shop", "bank")


@dataclass
class Replicas:
    """A provider, a Redis and the replicas: their ports. a_second: how many questions they are to answer."""

    redis: RedisServer
    provider: int
    ports: list[int]
    a_second: float

    @property
    def calls(self) -> int:
        return int(get(self.provider, "/calls"))


@dataclass
class Tally:
    """What came of requests."""

    took_s: list[float] = field(default_factory=list)
    errors: int = 0

    def add(self, answer: Answer) -> None:
        self.took_s.append(answer.took_s)
        self.errors += answer.status != 200

    def quantiles(self) -> str:
        p50, p99 = np.percentile(self.took_s, (50, 99)) * 1000
        return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


@contextmanager
def running(a_second: float) -> Iterator[Replicas]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cacheguard-replicas-")))
        (folder / "redis").mkdir()
        options = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
        redis = stack.enter_context(RedisServer(redis_binary.find(), folder / "redis", *options))
        provider = free_port()
        upstream = [sys.executable, "-m", "tests.benchmarks.upstream", str(provider), str(PROVIDER_MS)]
        stack.enter_context(server(upstream, provider, folder, set()))
        config = write(folder / "cacheguard.yaml", settings(redis.url, provider))
        for tenant in TENANTS:
            fill = [PROGRAM, "warm", answers_of(tenant, folder), "--route", "hot", "--tenant", tenant]
            subprocess.run(
                [*fill, "--config", config], cwd=folder, check=True, stdout=subprocess.DEVNULL, env=environment()
            )
        ports = [free_port() for _ in range(REPLICAS)]
        for port in ports:
            own = folder / str(port)
            own.mkdir()
            command = [PROGRAM, "serve", "--config", config, "--port", str(port), "--log-level", "error"]
            stack.enter_context(server(command, port, own, set()))
        yield Replicas(redis, provider, ports, a_second)


def settings(redis_url: str, provider: int) -> dict[str, object]:
    """hot: only an equal question is a hit. near: one that is put otherwise, too."""
    return {
        "store": {"url": redis_url},
        "auth": {"keys": [{"key": tenant, "tenant": tenant} for tenant in TENANTS]},
        "providers": {"lightest": {"kind": "openai", "base_url": f"http://127.0.0.1:{provider}/v1"}},
        "tiers": {"only": {"provider": "lightest", "model": "bench"}},
        "routes": {
            "hot": {"tiers": ["only"], "cache": {"decision": 1}},
            "near": {"tiers": ["only"], "cache": {"decision": 0.85}},
        },
    }


def answers_of(tenant: str, folder: Path) -> str:
    """A log in which everybody asks the same, and each tenant has answers of its own."""
    lines = [
        json.dumps({"prompt": prompt, "answer_id": f"{tenant}-{number}", "answer": f"{tenant} says {number}"})
        for number, prompt in enumerate(hot())
    ]
    path = folder / f"{tenant}.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def hot() -> list[str]:
    return prompts(logs()[0])[:HOT]


def request(route: str, prompt: str, tenant: str = TENANTS[0], *, only_if_cached: bool = False) -> bytes:
    content = json.dumps({"model": route, "messages": [{"role": "user", "content": prompt}]}).encode()
    steering = "Cache-Control: only-if-cached\r\n" if only_if_cached else ""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {tenant}\r\n{steering}Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def paced(a_second: float, seconds: float, ask: Callable[[int], Awaitable[None]]) -> float:
    """Begin so many a second, whatever becomes of them; how many a second were really begun and ended."""
    begun = time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()
    number = 0
    while (passed := time.perf_counter() - begun) < seconds:
        # Behind its time it does not grow without bounds: what two cores can't do is not asked of them.
        while number < passed * a_second and len(tasks) < 256:
            task = asyncio.ensure_future(ask(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)
    return number / (time.perf_counter() - begun)


async def mixed(replicas: Replicas) -> Table:
    """Hot questions at random replicas, new ones at all of them at once, and looks for what one has just written."""
    at_random = random.Random(7)
    clients = [Client(port) for port in replicas.ports]
    questions = [request("hot", prompt) for prompt in hot()]
    for client in clients:
        for question in questions:
            await client.ask(question)
    hits, misses, seen_s = Tally(), Tally(), []
    words = sorted({word for prompt in prompts(logs()[1]) for word in prompt.split()})
    called, asked = replicas.calls, 0

    async def ask_hot(_: int) -> None:
        hits.add(await at_random.choice(clients).ask(at_random.choice(questions)))

    async def ask_new(number: int) -> None:
        nonlocal asked
        asked += 1
        new = request("hot", f"How do I raise my card limit? ({number:07d})")
        for answer in await asyncio.gather(*(client.ask(new) for client in clients)):
            misses.add(answer)

    async def probe(_: int) -> None:
        nonlocal asked
        prompt = " ".join(at_random.sample(words, 8))  # near to no other
        writer, reader = at_random.sample(clients, 2)
        # Its partition is in memory before; what is measured is how soon a change comes, not how soon an index loads.
        await reader.ask(request("near", f"{prompt} please", only_if_cached=True))
        written = await writer.ask(request("near", prompt))
        asked += b"fwd-status" in written.head and b"collapsed" not in written.head
        begun = time.perf_counter()
        entry = written.field(b"x-cacheguard-entry")
        while time.perf_counter() - begun < 5:
            found = await reader.ask(request("near", f"{prompt} please", only_if_cached=True))
            if found.field(b"x-cacheguard-entry") == entry:
                seen_s.append(time.perf_counter() - begun)
                return
            await asyncio.sleep(0.005)
        seen_s.append(float("inf"))

    a_second, _, _ = await asyncio.gather(
        paced(replicas.a_second, SECONDS, ask_hot),
        paced(NEW_A_SECOND, SECONDS, ask_new),
        paced(PROBES_A_SECOND, SECONDS, probe),
    )
    p50, p99 = np.percentile(seen_s, (50, 99), method="higher") * 1000
    table = Table(
        "mixed load", f"{REPLICAS} replicas, {SECONDS} s, {replicas.a_second:g} a second wanted", show_header=True
    )
    table.add_row("questions a second", f"{a_second + (len(misses.took_s) + 2 * len(seen_s)) / SECONDS:,.0f}")
    table.add_row("hits", f"{len(hits.took_s):,}: {hits.quantiles()}")
    table.add_row(f"misses, provider {PROVIDER_MS} ms", f"{len(misses.took_s):,}: {misses.quantiles()}")
    table.add_row("near at another replica after", f"{len(seen_s)} looks: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    table.add_row("distinct questions missed, calls", f"{asked:,}, {replicas.calls - called:,}")
    table.add_row("errors", f"{hits.errors + misses.errors}")
    return table


async def killed(replicas: Replicas) -> Table:
    """The Redis is killed and started again and again, while everybody asks hot and new questions."""
    at_random = random.Random(7)
    clients = [Client(port) for port in replicas.ports]
    known = hot()
    tally, acknowledged, kept_again_s = Tally(), [], []
    back = [0.0] * REPLICAS

    async def ask(number: int) -> None:
        at = at_random.randrange(REPLICAS)
        prompt = f"How do I raise my card limit? ({number:07d})"
        if number % 10:
            prompt = at_random.choice(known)
        answer = await clients[at].ask(request("hot", prompt))
        tally.add(answer)
        if b"; stored" in answer.field(b"cache-status"):
            acknowledged.append((answer.field(b"x-cacheguard-entry").decode(), prompt))
            if back[at]:
                kept_again_s.append(time.perf_counter() - back[at])
                back[at] = 0.0

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(3)
            await asyncio.to_thread(replicas.redis.kill)
            await asyncio.sleep(2)
            await asyncio.to_thread(replicas.redis.start)
            back[:] = [time.perf_counter()] * REPLICAS

    seconds = KILLS * 5.5 + 5
    await asyncio.gather(paced(KILLED_A_SECOND, seconds, ask), kill())
    await asyncio.sleep(2)
    store = RedisStore(read_place(replicas.redis.url))
    await store.open("", reembedding=True)
    held = {
        phrasing.text: answer.id async for answer, its in store.answers(Filter(tenant=TENANTS[0])) for phrasing in its
    }
    await store.aclose()
    lost = [prompt for _, prompt in acknowledged if prompt not in held]
    replaced = [prompt for entry, prompt in acknowledged if held.get(prompt, entry) != entry]
    table = Table("killed Redis", f"{KILLS} times kill -9, away for 2 s each", show_header=True)
    table.add_row("requests", f"{len(tally.took_s):,}: {tally.quantiles()}, longest {max(tally.took_s) * 1000:.0f} ms")
    table.add_row("client errors", f"{tally.errors}")
    table.add_row("acknowledged, lost (AOF everysec)", f"{len(acknowledged):,}, {len(lost)}")
    table.add_row("answered anew since", f"{len(replaced)}")
    p50, most = np.median(kept_again_s), max(kept_again_s)
    table.add_row("answers kept again after", f"p50 {p50 * 1000:.0f} ms, longest {most * 1000:.0f} ms after it answers")
    return table


async def walls(replicas: Replicas) -> Table:
    """Two tenants ask the same at all replicas, and each has answers of its own."""
    at_random = random.Random(7)
    clients = [Client(port) for port in replicas.ports]
    asking = [(tenant, request("hot", prompt, tenant)) for tenant in TENANTS for prompt in hot()]
    tally, crossings, misses = Tally(), 0, 0

    async def look() -> None:
        nonlocal crossings, misses
        for _ in range(-(-LOOK_UPS // 64)):
            tenant, question = at_random.choice(asking)
            answer = await at_random.choice(clients).ask(question)
            tally.add(answer)
            misses += b"hit" not in answer.field(b"cache-status")
            crossings += any(f"{other} says".encode() in answer.body for other in TENANTS if other != tenant)

    begun = time.perf_counter()
    await asyncio.gather(*(look() for _ in range(64)))
    took_s = time.perf_counter() - begun
    table = Table("two tenants", f"{REPLICAS} replicas", show_header=True)
    table.add_row("look-ups", f"{len(tally.took_s):,}, {len(tally.took_s) / took_s:,.0f} a second: {tally.quantiles()}")
    table.add_row("crossings, misses, errors", f"{crossings}, {misses}, {tally.errors}")
    return table


PARTS = {"mixed": mixed, "killed": killed, "walls": walls}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.replicas", description=__doc__)
    parser.add_argument("parts", metavar="PART", nargs="*", help=f"of {', '.join(PARTS)}; without any, all")
    parser.add_argument("--a-second", metavar="N", type=float, default=A_SECOND, help="questions of the mixed load")
    said = parser.parse_args()
    for name in said.parts or PARTS:
        with running(said.a_second) as replicas, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            Console().print(runner.run(PARTS[name](replicas)))


if __name__ == "__main__":
    main()
