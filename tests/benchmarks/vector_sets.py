"""FAISS in this process beside Redis 8 vector sets, at 100,000 vectors: what a search takes, finds and weighs.

Run it with `python -m tests.benchmarks vector_sets`; it needs CACHEGUARD_DATA, and a redis-server 8 or newer on the
PATH or a Debian to get one. Real questions (qqp_a), beyond their number copies of them moved to a cosine of about 0.9.
Asked for are other copies moved like that, and questions of which none is stored; recall is against brute force, by
true similarity. Each search is for as many neighbours as the service asks for, with their vectors, as it reads them.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import os
import tempfile
import time
from contextlib import AsyncExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from cacheguard.cache import NEIGHBOURS
from embeddings.export import prepare
from embeddings.onnx import Encoder
from index import redis as adapter
from index.faiss import FaissIndex
from index.redis import Kept, VectorSet
from tests import redis_binary
from tests.benchmarks.counting import Listing
from tests.benchmarks.index_size import resident, volume
from tests.benchmarks.load import Timing
from tests.redis_servers import RedisServer, vector_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from index.base import VectorIndex

DATA = Path(os.environ.get("CACHEGUARD_DATA", Path(__file__).parents[3] / "shared" / "data"))
SIZE = 100_000
QUERIES = 1_000
AT_ONCE = 16
ROUNDS = 3
ADDED = 300


def questions() -> list[str]:
    with gzip.open(DATA / "pairs" / "qqp_a.tsv.gz", "rt", encoding="utf-8", newline="") as lines:
        pairs = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return list(dict.fromkeys(text for pair in pairs for text in (pair["prompt_a"], pair["prompt_b"])))


async def fill(index: VectorIndex, vectors: np.ndarray) -> None:
    for start in range(0, len(vectors), 1_000):
        await index.add(np.arange(start, min(start + 1_000, len(vectors))), vectors[start : start + 1_000])


async def adding(index: VectorIndex, vectors: np.ndarray) -> Timing:
    """One after the other, as answers come; they are removed again."""
    times = []
    ids = np.arange(SIZE, SIZE + len(vectors))
    for place in range(len(vectors)):
        began = time.perf_counter()
        await index.add(ids[place : place + 1], vectors[place : place + 1])
        times.append(time.perf_counter() - began)
    await index.remove(ids)
    return Timing.of(times, sum(times))


async def timed(index: VectorIndex, queries: np.ndarray, at_once: int) -> Timing:
    times: list[float] = []
    waiting = iter(queries)

    async def ask() -> None:
        for query in waiting:
            began = time.perf_counter()
            await index.vectors([neighbour.id for neighbour in await index.search(query, NEIGHBOURS)])
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(at_once)))
    return Timing.of(times, time.perf_counter() - began)


async def recall(index: VectorIndex, queries: np.ndarray, vectors: np.ndarray) -> float:
    found = [(await index.search(query, NEIGHBOURS))[0].id for query in queries]
    best = np.max(queries @ vectors.T, axis=1)
    return float(np.mean(np.einsum("ij,ij->i", queries, vectors[found]) >= best - 1e-4))


async def study(say: Callable[[str], None]) -> list[Listing]:
    texts = questions()
    say(f"{len(texts):,} questions are embedded")
    real = Encoder(prepare("bundled")).encode(texts).vectors
    real, unseen = real[:-QUERIES], real[-QUERIES:]
    vectors = volume(real, SIZE)
    moved = volume(real[:QUERIES], 2 * QUERIES)[QUERIES:]
    async with AsyncExitStack() as running:
        servers = [running.enter_context(started()) for _ in Kept]
        sets = []
        for server, kept in zip(servers, Kept, strict=True):
            way = vector_servers(server.url, patience_s=600)
            running.push_async_callback(way.aclose)
            sets.append(VectorSet(way, "set", vectors.shape[1], kept))
        say("both Redis are filled")
        empty = [used(server) for server in servers]
        await asyncio.gather(*(fill(each, vectors) for each in sets))
        weights = [used(server) - before for server, before in zip(servers, empty, strict=True)]
        say("FAISS is filled")
        before = resident()
        flat = FaissIndex(vectors.shape[1])
        await fill(flat, vectors)
        await flat.settled()
        weights = [resident() - before, *weights]
        say("all are asked")
        indexes = {"FAISS": flat, **{f"Redis {each.kept.name.lower()}": each for each in sets}}
        rows = await compare(indexes, vectors, unseen, moved)
        adds = [await adding(index, unseen[:ADDED]) for index in indexes.values()]
        widths = [await widening(each, vectors, unseen) for each in sets]
    headings = ["index", "p50 ms", "p99 ms", f"{AT_ONCE} at once: p99 ms", "a second", "recall@1 moved", "unseen"]
    beside = Listing(
        f"{SIZE:,} × {vectors.shape[1]}, {NEIGHBOURS} neighbours and their vectors",
        [*headings, "kB a vector", "adding one: p50 ms", "p99 ms"],
        [
            [*row, f"{weight / SIZE / 1e3:.2f}", f"{add.p50_ms:.2f}", f"{add.p99_ms:.2f}"]
            for row, weight, add in zip(rows, weights, adds, strict=True)
        ],
    )
    return [beside, Listing("how widely Redis looks, unseen", ["EF", "p50 ms", "recall@1"], list(chain(*widths)))]


async def widening(index: VectorSet, vectors: np.ndarray, queries: np.ndarray) -> list[list[str]]:
    rows, chosen = [], adapter.EF_SEARCH
    for adapter.EF_SEARCH in (50, 100, 200, 400):
        took = await timed(index, queries, 1)
        found = await recall(index, queries, vectors)
        rows.append([f"{adapter.EF_SEARCH} {index.kept.name.lower()}", f"{took.p50_ms:.2f}", f"{found:.3f}"])
    adapter.EF_SEARCH = chosen
    return rows


async def compare(
    indexes: Mapping[str, VectorIndex], vectors: np.ndarray, unseen: np.ndarray, moved: np.ndarray
) -> list[list[str]]:
    """Each takes its turn in every round, so that a busy machine is busy for all; medians of the rounds."""
    alone: dict[str, list[Timing]] = {name: [] for name in indexes}
    together: dict[str, list[Timing]] = {name: [] for name in indexes}
    for _ in range(ROUNDS):
        for name, index in indexes.items():
            alone[name].append(await timed(index, moved, 1))
            together[name].append(await timed(index, moved, AT_ONCE))
    rows = []
    for name, index in indexes.items():
        p50, p99 = (float(np.median([getattr(t, f"{p}_ms") for t in alone[name]])) for p in ("p50", "p99"))
        busy = float(np.median([t.p99_ms for t in together[name]]))
        per_s = float(np.median([t.per_s for t in together[name]]))
        found = [await recall(index, queries, vectors) for queries in (moved, unseen)]
        rows.append([name, f"{p50:.2f}", f"{p99:.2f}", f"{busy:.1f}", f"{per_s:,.0f}", *(f"{r:.3f}" for r in found)])
    return rows


@contextmanager
def started() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as folder, RedisServer(redis_binary.find(), Path(folder)) as server:
        yield server


def used(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.info("memory")["used_memory"])


def main() -> None:
    console = Console()
    began = time.perf_counter()
    tables = asyncio.run(study(lambda what: console.print(f"{time.perf_counter() - began:5.0f} s  {what}")))
    for one in tables:
        console.print(one.table())


if __name__ == "__main__":
    main()
