"""Many tenants: what 100,000 scopes of 10 phrasings take in memory, and how long the first search in a cold one.

The index over a store on disk, as the service has it; every scope is searched once, and then held. Memory is that of
the whole process, FAISS, SQLite and Python included, but without the model and HTTP.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cacheguard.stores.base import NewPhrasing
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.types import Answer, Origin, Provenance
from index.partitions import Partitions
from tests.benchmarks.index_size import resident

SCOPES, IN_ONE, K, DIMENSION = 100_000, 10, 20, 384


def vectors_of(scope: int) -> np.ndarray:
    vectors = np.random.default_rng(scope).standard_normal((IN_ONE, DIMENSION), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


async def fill(store: SqliteStore, scopes: int) -> None:
    for scope in range(scopes):
        answer = Answer(f"a{scope}", f"scope {scope}", f"tenant {scope}", "default", "Yes.", Provenance("log"), 0, 0)
        rows = enumerate(vectors_of(scope))
        await store.keep(answer, [NewPhrasing(f"{n}", f"question {n}", Origin.LOG, 0, row) for n, row in rows])


async def measure(scopes: int) -> None:
    with TemporaryDirectory(prefix="cacheguard-scopes-") as name:
        path = Path(name) / "cache.db"
        store = SqliteStore(path)
        await store.open("model")
        await fill(store, scopes)
        partitions = Partitions(store, dimension=DIMENSION, fingerprint="model", max_mb=2_048)
        before, times = resident(), []
        for scope in np.random.default_rng(0).permutation(scopes).tolist():
            query = vectors_of(scope)[0]
            begun = time.perf_counter()
            found = await partitions.search(f"scope {scope}", query, K)
            times.append(time.perf_counter() - begun)
            assert len(found) == IN_ONE
            assert found[0].similarity > 1 - 1e-3
        p50, p99 = np.percentile(times, (50, 99)) * 1e3
        whole, index = resident() / 1e9, (resident() - before) / 1e9
        print(
            f"{scopes:,} scopes of {IN_ONE}: {whole:.2f} GB, {index:.2f} of them for the index, "
            f"which counts {partitions.nbytes / 1e9:.2f}; cold scope's first search p50 {p50:.2f} ms, "
            f"p99 {p99:.2f} ms, longest {max(times) * 1e3:.1f} ms"
        )
        await partitions.aclose()
        await store.aclose()


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else SCOPES))
