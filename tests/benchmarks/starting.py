"""How long `cacheguard serve` takes until it is ready over a full store, and what memory it holds then.

From the start of the process to 200 at /readyz. The store holds 100,000 phrasings; no question has been asked yet, so
the process holds their index only once one is.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cacheguard.stores.base import NewPhrasing
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.types import Answer, Origin, Provenance
from embeddings.export import prepare
from tests.benchmarks.figures import Comparison, Findings, at_most
from tests.benchmarks.processes import PROGRAM, environment, free_port, resident, write

PHRASINGS, AN_ANSWER = 100_000, 100
ROUNDS = 5
# Longer than a start takes, after which it is idle.
SETTLED_S = 2.0
UNWANTED = ("torch", "matplotlib", "sklearn", "scipy")


async def fill(path: Path) -> None:
    spec = prepare("bundled").manifest.spec
    store = SqliteStore(path)
    await store.open(spec.fingerprint)
    rng = np.random.default_rng(0)
    for number in range(PHRASINGS // AN_ANSWER):
        vectors = rng.standard_normal((AN_ANSWER, spec.dimension), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        answer = Answer(f"a{number}", "scope", "default", "default", "An answer.", Provenance("log"), 0, 0)
        texts = [f"question {number} in the words {words}" for words in range(AN_ANSWER)]
        phrasings = [NewPhrasing(t, t, Origin.LOG, 0, vector) for t, vector in zip(texts, vectors, strict=True)]
        await store.keep(answer, phrasings)
    await store.aclose()


def start(folder: Path, settings: str, port: int) -> tuple[float, float, list[str]]:
    """Seconds until it was ready, its memory in MB, and what it loaded that serving doesn't need."""
    with (folder / "words").open("wb") as words:
        begun = time.perf_counter()
        child = subprocess.Popen(
            [PROGRAM, "serve", "--config", settings], cwd=folder, stdout=words, stderr=words, env=environment()
        )
    try:
        while not is_ready(port):
            if child.poll() is not None:
                raise RuntimeError((folder / "words").read_text(errors="replace"))
            time.sleep(0.005)
        took = time.perf_counter() - begun
        time.sleep(SETTLED_S)
        maps = Path(f"/proc/{child.pid}/maps").read_text()
        return took, resident(child.pid) / 1e6, [name for name in UNWANTED if f"/{name}/" in maps]
    finally:
        child.terminate()
        child.wait()


def is_ready(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
    except OSError:
        return False
    return True


def measure() -> Findings:
    with TemporaryDirectory(prefix="cacheguard-start-") as name:
        folder = Path(name)
        asyncio.run(fill(folder / "cache.db"))
        port = free_port()
        settings = {
            "server": {"port": port},
            "store": {"url": f"sqlite:///{folder / 'cache.db'}"},
            "tiers": {"sorry": {"template": "Nothing fits."}},
            "routes": {"default": {"tiers": ["sorry"]}},
        }
        found = [start(folder, write(folder / "cacheguard.yaml", settings), port) for _ in range(ROUNDS + 1)][1:]
    seconds, taken, loaded = zip(*found, strict=True)
    return Findings(
        f"start: over a store of {PHRASINGS:,} phrasings, to 200 at /readyz; {ROUNDS} rounds",
        {},
        [
            Comparison.of("start: ready after", "s", seconds, goal=at_most(2)),
            Comparison.of("start: memory when idle", "MB", taken, goal=at_most(300)),
            Comparison.of(f"start: loaded of {', '.join(UNWANTED)}", "libraries", map(len, loaded), goal=at_most(0)),
        ],
    )
