"""An index of 1,000,000 phrasings: its search, recall, memory, start from a snapshot, and searches while it grows.

What takes long (vectors of the public questions, the graph, the true neighbours: some fifteen minutes) is kept in the
folder for temporary files, and a second run measures at once. Vectors: the questions of qqp_a, and past their number
copies of them, each mixed with another question and moved by noise. Queries: 1,000 of the index's vectors moved to a
cosine of about 0.9. One thread.
"""

from __future__ import annotations

import asyncio
import csv
import gc
import gzip
import time
from pathlib import Path
from tempfile import gettempdir

import numpy as np

from embeddings.export import prepare
from embeddings.onnx import Encoder
from index import snapshot
from index.faiss import FaissIndex
from index.table import Form, Table
from tests.benchmarks.figures import Comparison, Findings, at_least, at_most, middle
from tests.benchmarks.index_size import resident
from tests.benchmarks.load import Timing
from tests.benchmarks.threshold import DATA

SIZE = 1_000_000
QUERIES, K = 1_000, 20
PIECE = 20_000
NOISE = 0.5  # of a vector of length 1: a cosine of 0.89
# In so many rounds, for now and then the machine itself holds up a search for tens of ms.
ROUNDS, GROWTH, AT_ONCE = 5, 1_000, 50


def questions() -> list[str]:
    with gzip.open(DATA / "pairs" / "qqp_a.tsv.gz", "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = [row[side] for row in rows for side in ("prompt_a", "prompt_b")]
    return np.random.default_rng(0).permutation(list(dict.fromkeys(texts))).tolist()


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def moved(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(vectors.shape, dtype=np.float32) * NOISE / np.sqrt(vectors.shape[1])
    return unit(vectors + noise)


def piece(real: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The index's vectors from `start` on, the same whenever they are asked for."""
    rng = np.random.default_rng(start)
    own = np.arange(start, stop)
    weight = rng.uniform(0.1, 0.5, (stop - start, 1)).astype(np.float32)
    mixed = real[own % len(real)] * (1 - weight) + real[rng.integers(0, len(real), stop - start)] * weight
    return np.where(own[:, None] < len(real), real[own % len(real)], moved(mixed, rng))


def pieces(real: np.ndarray, size: int):
    for start in range(0, size, PIECE):
        yield start, piece(real, start, min(size, start + PIECE))


def real_vectors(folder: Path) -> np.ndarray:
    path = folder / "questions.npy"
    if not path.exists():
        encoder, texts = Encoder(prepare("bundled")), questions()
        np.save(path, np.concatenate([encoder.encode(texts[i : i + 2048]).vectors for i in range(0, len(texts), 2048)]))
    return np.load(path)


def build(folder: Path, real: np.ndarray, size: int) -> None:
    """Keep the graph, the queries and the similarity of each one's true nearest."""
    if (folder / "truth.npz").exists():
        return
    known = Table(real.shape[1], Form.FLAT)
    # Of all kinds, as an index that grows takes them: what lies outside the ranges learnt here is cut off.
    sample = np.concatenate([vectors[:: max(1, size // PIECE)] for _, vectors in pieces(real, size)])
    known.put(np.arange(len(sample)), sample)
    table = Table(real.shape[1], Form.COMPACT)
    table.learn(known)
    begun = time.thread_time()
    for start, vectors in pieces(real, size):
        table.put(np.arange(start, start + len(vectors)), vectors)
        print(f"{table.height:,} rows, {(time.thread_time() - begun) / table.height * 1e6:.0f} µs a row", flush=True)
    snapshot.save(folder, snapshot.Snapshot("scope", "model", 1, *table.dump()))
    rng = np.random.default_rng(1)
    chosen = np.sort(rng.choice(size, QUERIES, replace=False))
    parts = [vectors[chosen[(chosen >= s) & (chosen < s + PIECE)] - s] for s, vectors in pieces(real, size)]
    queries = moved(np.concatenate(parts), rng)
    nearest = np.max([(queries @ vectors.T).max(axis=1) for _, vectors in pieces(real, size)], axis=0)
    np.savez(folder / "truth.npz", queries=queries, nearest=nearest)


def measure() -> Findings:
    folder = Path(gettempdir()) / "cacheguard-million"
    folder.mkdir(parents=True, exist_ok=True)
    real = real_vectors(folder)
    build(folder, real, SIZE)
    return asyncio.run(searched(folder, real, SIZE))


async def searched(folder: Path, real: np.ndarray, size: int) -> Findings:
    saved = np.load(folder / "truth.npz")
    queries, nearest = saved["queries"], saved["nearest"]
    gc.collect()
    before, begun = resident(), time.perf_counter()
    loaded = snapshot.load(folder, "scope", "model")
    index = await FaissIndex.load(loaded.ids, loaded.rows, dimension=real.shape[1])
    took_s = time.perf_counter() - begun
    del loaded
    gc.collect()
    each = (resident() - before) / size
    times, found = [], []
    for query in queries:
        begun = time.perf_counter()
        found.append(await index.search(query, K))
        times.append(time.perf_counter() - begun)
    # As near as the nearest, for int8: what is found instead of it may not be told from it.
    first = np.array([near[0].id for near in found])
    similarity = np.empty(QUERIES, np.float32)
    for start, vectors in pieces(real, size):
        here = (first >= start) & (first < start + PIECE)
        similarity[here] = np.einsum("ij,ij->i", vectors[first[here] - start], queries[here])
    off = np.abs(similarity - [near[0].similarity for near in found])
    alone, growing = f"search among {size:,}", f"search while {GROWTH:,} are added, {AT_ONCE} at a time"
    grown = [await grow(index, queries, size + number * GROWTH) for number in range(ROUNDS)]
    timings = {alone: Timing.of(times, sum(times)), growing: middle([timing for timing, _ in grown])}
    return Findings(
        f"index: {size:,} vectors; {QUERIES:,} queries at a cosine of about 0.9 from one",
        timings,
        [
            Comparison.of(f"{alone}: p99", "ms", [timings[alone].p99_ms], subject=alone, goal=at_most(1)),
            Comparison.of(
                f"{alone}: recall@1",
                "",
                [float(np.mean(similarity >= nearest - 1e-5))],
                subject=alone,
                goal=at_least(0.99),
            ),
            Comparison.of(f"{alone}: similarity off by, at most", "", [float(off.max())], subject=alone),
            Comparison.of(f"{alone}: longest", "ms", [max(times) * 1000], subject=alone),
            Comparison.of(
                f"{growing}: longest", "ms", [longest_ms for _, longest_ms in grown], subject=growing, goal=at_most(5)
            ),
            Comparison.of("index: memory of a phrasing", "bytes", [each], goal=at_most(700)),
            Comparison.of("index: start from its snapshot", "s", [took_s], goal=at_most(10)),
        ],
    )


async def grow(index: FaissIndex, queries: np.ndarray, size: int) -> tuple[Timing, float]:
    """How searches go meanwhile, and the longest of them, in ms. size: of the index by now."""
    vectors = moved(queries[np.arange(GROWTH) % QUERIES], np.random.default_rng(size))

    async def add() -> None:
        for start in range(0, GROWTH, AT_ONCE):
            await index.add(np.arange(size + start, size + start + AT_ONCE), vectors[start : start + AT_ONCE])

    begun = time.perf_counter()
    adding, times = asyncio.create_task(add()), []
    while not adding.done():
        asked = time.perf_counter()
        await index.search(queries[len(times) % QUERIES], K)
        times.append(time.perf_counter() - asked)
        await asyncio.sleep(0.001)
    return Timing.of(times, time.perf_counter() - begun), max(times) * 1000
