"""From which size is a graph worth it, which graph, and what does a small partition cost?

Run it with `python tests/benchmarks/index_size.py [largest size]`; it needs the public question sets
(CACHEGUARD_DATA). Real questions, and beyond their number copies of them moved to a cosine of about 0.9. They are
asked for with questions about other things, which is the harder case for a graph. One thread; recall against
brute force; «dead»: after 30 % of the rows were removed and before a rebuild.
"""

from __future__ import annotations

import asyncio
import ctypes
import gzip
import json
import os
import sys
import time
from itertools import product
from pathlib import Path

import faiss
import numpy as np

from embeddings.export import prepare
from embeddings.onnx import Encoder
from index import table as adapter
from index.exact import ExactIndex
from index.faiss import GRAPH_SLICE, FaissIndex
from index.table import Form, Table

DATA = Path(os.environ.get("CACHEGUARD_DATA", Path(__file__).parents[3] / "shared" / "data"))
SIZES = (1_000, 2_000, 5_000, 8_000, 10_000, 12_000, 50_000, 100_000)
QUESTIONS = 300
K = 20  # as the service asks


def questions() -> list[str]:
    texts = []
    for name in ("banking77", "vira"):
        with gzip.open(DATA / "streams" / f"{name}.warm.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["prompt"] for line in lines]
    return list(dict.fromkeys(texts))


def volume(real: np.ndarray, size: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    copies = np.resize(real, (max(size, len(real)), real.shape[1]))
    noise = rng.standard_normal(copies.shape, dtype=np.float32) * 0.5 / np.sqrt(real.shape[1])
    noise[: len(real)] = 0
    copies += noise
    return (copies / np.linalg.norm(copies, axis=1, keepdims=True))[:size]


def microseconds(call, arguments) -> tuple[float, float]:
    """Median and 99th percentile."""
    times = []
    for argument in arguments:
        start = time.perf_counter()
        call(argument)
        times.append(time.perf_counter() - start)
    return tuple(np.percentile(times, (50, 99)) * 1e6)


def built(vectors: np.ndarray, form: Form) -> Table:
    table, flat = Table(vectors.shape[1], form), Table(vectors.shape[1], Form.FLAT)
    flat.put(np.arange(min(len(vectors), adapter.LEARNT_FROM)), vectors[: adapter.LEARNT_FROM])
    table.learn(flat)
    for start in range(0, len(vectors), GRAPH_SLICE):
        stop = start + GRAPH_SLICE
        table.put(np.arange(start, min(stop, len(vectors))), vectors[start:stop])
    return table


def recall(table: Table, queries: np.ndarray, vectors: np.ndarray) -> str:
    """Of the nearest, and of the K nearest: what is just as near, as exactly as the table tells, counts as found."""
    off = 2e-3 if table.form is Form.COMPACT else 1e-4
    truth = -np.sort(-(queries @ vectors.T), axis=1)[:, :K] - off
    found = np.array([[n.similarity for n in table.search(query, K)] for query in queries])
    return f"{np.mean(found[:, 0] >= truth[:, 0]):.3f} {np.mean(found >= truth[:, K - 1 : K]):.3f}"


def sizes(real: np.ndarray, queries: np.ndarray, largest: int) -> None:
    print("\n     size   form      p50/p99 µs   recall@1 @20   dead @1 @20   add, µs a vector")
    for size, form in product(SIZES, Form):
        if size > largest:
            return
        vectors = volume(real, size)
        start = time.perf_counter()
        table = built(vectors, form)
        add = (time.perf_counter() - start) / size * 1e6
        took = microseconds(lambda query, table=table: table.search(query, K), queries)
        whole = recall(table, queries, vectors)
        gone = np.random.default_rng(1).permutation(size)[: size * 3 // 10]
        table.remove(gone)
        dead = recall(table, queries, np.delete(vectors, gone, axis=0))
        print(
            f"{size:9,}   {form.name:7} {took[0]:6.0f} /{took[1]:6.0f}    {whole:>12}  {dead:>12} {add:12.0f}",
            flush=True,
        )


def graphs(real: np.ndarray, queries: np.ndarray, size: int) -> None:
    print(f"\n  M  efConstruction  efSearch   p50/p99 µs   recall@1 @20   add, µs a vector  ({size:,} vectors)")
    vectors = volume(real, size)
    chosen = adapter.NEIGHBOURS, adapter.EF_CONSTRUCTION, adapter.EF_SEARCH
    for adapter.NEIGHBOURS, adapter.EF_CONSTRUCTION in product((16, 32), (80, 200)):
        start = time.perf_counter()
        graph = built(vectors, Form.GRAPH)
        add = (time.perf_counter() - start) / size * 1e6
        for adapter.EF_SEARCH in (96, 128, 192, 256):
            graph._living = None
            took = microseconds(lambda query, table=graph: table.search(query, K), queries)
            print(
                f"{adapter.NEIGHBOURS:3} {adapter.EF_CONSTRUCTION:15} {adapter.EF_SEARCH:9}"
                f" {took[0]:7.0f} /{took[1]:5.0f}   {recall(graph, queries, vectors):>12} {add:12.0f}",
                flush=True,
            )
    adapter.NEIGHBOURS, adapter.EF_CONSTRUCTION, adapter.EF_SEARCH = chosen


def threads(real: np.ndarray, queries: np.ndarray) -> None:
    print("\n   flat search of 10,000   p50/p99 µs")
    index = built(volume(real, 10_000), Form.FLAT)._rows
    for count in (1, os.cpu_count() or 1):
        faiss.omp_set_num_threads(count)
        took = microseconds(lambda query: index.search(query[None], 10), queries)
        print(f"{count:13} thread(s) {took[0]:12.0f} /{took[1]:6.0f}")


async def small(real: np.ndarray, queries: np.ndarray) -> None:
    print("\n   partition of   arrays, float16: kB   µs a search   FAISS: kB   µs a search")
    for rows in (10, 30, 100, 300):
        half = await cost(lambda: ExactIndex(real.shape[1], half=True), real[:rows], queries)
        full = await cost(lambda: FaissIndex(real.shape[1]), real[:rows], queries)
        print(f"{rows:15} {half[0]:22.1f} {half[1]:13.1f} {full[0]:11.1f} {full[1]:13.1f}", flush=True)


async def cost(make, vectors: np.ndarray, queries: np.ndarray) -> tuple[float, float]:
    """What an index of these vectors takes, in kB, and a search in it, in µs."""
    before = resident()
    kept = [make() for _ in range(100_000 // len(vectors))]
    for index in kept:
        await index.add(np.arange(len(vectors)), vectors)
    took = resident() - before
    start = time.perf_counter()
    for query in queries:
        await kept[0].search(query, 10)
    return took / len(kept) / 1e3, (time.perf_counter() - start) / len(queries) * 1e6


def resident() -> int:
    """Bytes of memory that this process holds: FAISS allocates where Python can't see it."""
    ctypes.CDLL(None).malloc_trim(0)  # what earlier rounds freed would hide what this one takes
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    vectors = Encoder(prepare("bundled")).encode(questions()).vectors
    real, queries = vectors[:-QUESTIONS], vectors[-QUESTIONS:]
    asyncio.run(small(real, queries))
    threads(real, queries)
    sizes(real, queries, largest)
    graphs(real, queries, min(largest, 50_000))


if __name__ == "__main__":
    main()
