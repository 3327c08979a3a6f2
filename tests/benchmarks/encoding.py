"""An embedder by itself, in a process that can be pinned to a core: what a semantic hit pays for at least.

Run it with `python -m tests.benchmarks.encoding QUESTIONS.json`. A line `WAY SECONDS` on its input makes it encode
that way for some seconds, and it answers with the timing as a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from embeddings.batching import Gathering
from embeddings.export import prepare
from embeddings.files import BUNDLED, find
from embeddings.onnx import Encoder
from tests.benchmarks.load import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Encode = Callable[[list[str]], object]

# So many that the texts of a pass, which the encoder chooses by length, are equally long.
_BATCH = 256
_CALLERS = 64


def measure(encode: Encode, texts: Iterator[str], size: int, seconds: float) -> Timing:
    times = []
    begun = now = time.perf_counter()
    while now < begun + seconds:
        encode(list(islice(texts, size)))
        times.append(time.perf_counter() - now)
        now += times[-1]
    return Timing.of(times, now - begun, each=size)


async def gathered(model: Encoder, texts: list[str]) -> None:
    """By callers who each ask for one text after the other, as requests do."""
    embedder, waiting = Gathering(model), iter(texts)

    async def ask() -> None:
        for text in waiting:
            await embedder.embed([text])

    await asyncio.gather(*(ask() for _ in range(_CALLERS)))
    await embedder.aclose()


def main() -> None:
    texts = cycle(json.loads(Path(sys.argv[1]).read_bytes()))
    torch.set_num_threads(1)
    disable_progress_bar()
    original = SentenceTransformer(find(BUNDLED).place, device="cpu")
    ours = Encoder(prepare(BUNDLED))

    def by_original(texts: list[str]) -> object:
        return original.encode(texts, show_progress_bar=False)

    ways: dict[str, tuple[Encode, int]] = {
        "single": (ours.encode, 1),
        "batches": (ours.encode, _BATCH),
        "gathered": (lambda texts: asyncio.run(gathered(ours, texts)), _BATCH),
        "sentence-transformers": (by_original, 1),
        # Its own default is the best that it has here: 32, sorted by length.
        "sentence-transformers-batches": (by_original, _BATCH),
    }
    for line in sys.stdin:
        way, _, seconds = line.rpartition(" ")
        encode, size = ways[way]
        print(json.dumps(asdict(measure(encode, texts, size, float(seconds)))), flush=True)


if __name__ == "__main__":
    main()
