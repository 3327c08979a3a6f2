"""Many tenants: what 100,000 scopes of 10 phrasings take in memory, and how long the first search in a cold one.

The index over a store on disk, as the service has it; every scope is searched once, and then held. Memory is that of
the whole process, FAISS, SQLite and Python included, but without the model and HTTP.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cacheguard.stores.base import NewPhrasing
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.types import Answer, Origin, Provenance
from index.partitions import Partitions
from tests.benchmarks.figures import Comparison, Findings, at_most
from tests.benchmarks.index_size import resident
from tests.benchmarks.load import Timing

SCOPES, IN_ONE, K, DIMENSION = 100_000, 10, 20, 384
# Scopes written at a time.
AT_ONCE = 500


def vectors_of(scope: int) -> np.ndarray:
    vectors = np.random.default_rng(scope).standard_normal((IN_ONE, DIMENSION), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


async def fill(store: SqliteStore, scopes: int) -> None:
    for start in range(0, scopes, AT_ONCE):
        await asyncio.gather(*(fill_one(store, scope) for scope in range(start, min(start + AT_ONCE, scopes))))


async def fill_one(store: SqliteStore, scope: int) -> None:
    answer = Answer(f"a{scope}", f"scope {scope}", f"tenant {scope}", "default", "Yes.", Provenance("log"), 0, 0)
    rows = enumerate(vectors_of(scope))
    await store.keep(answer, [NewPhrasing(f"{n}", f"question {n}", Origin.LOG, 0, row) for n, row in rows])


def measure() -> Findings:
    return asyncio.run(searched(SCOPES))


async def searched(scopes: int) -> Findings:
    with TemporaryDirectory(prefix="cacheguard-scopes-") as name:
        store = SqliteStore(Path(name) / "cache.db")
        await store.open("model")
        await fill(store, scopes)
        partitions = Partitions(store, dimension=DIMENSION, fingerprint="model", max_mb=2_048)
        before, times = resident(), []
        begun = time.perf_counter()
        for scope in np.random.default_rng(0).permutation(scopes).tolist():
            query = vectors_of(scope)[0]
            asked = time.perf_counter()
            found = await partitions.search(f"scope {scope}", query, K)
            times.append(time.perf_counter() - asked)
            assert len(found) == IN_ONE
            assert found[0].similarity > 1 - 1e-3
        timing = Timing.of(times, time.perf_counter() - begun)
        whole, index = resident() / 1e9, (resident() - before) / 1e9
        await partitions.aclose()
        await store.aclose()
    what = "first search in a cold scope"
    return Findings(
        f"many scopes: {scopes:,} of {IN_ONE} phrasings, each searched once and then held",
        {what: timing},
        [
            Comparison.of(f"{what}: p99", "ms", [timing.p99_ms], subject=what, goal=at_most(20)),
            Comparison.of("many scopes: memory of the process", "GB", [whole], goal=at_most(1.2)),
            Comparison.of("many scopes: of it the index", "GB", [index]),
        ],
    )
