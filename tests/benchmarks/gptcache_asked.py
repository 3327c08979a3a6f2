"""GPTCache by itself, filled with a log's answers. Run by a Python that has it, without this project's modules.

python gptcache_asked.py MODEL FOLDER ANSWERS.json QUESTIONS.json
A line `known` on its input: the questions that it answers; from then on it is asked these. A line `seconds N`: it is
asked so long, one question after the other, and answers with the timing, as a line of JSON each.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import cycle
from pathlib import Path
from statistics import quantiles

import torch
from gptcache.adapter.api import get, init_similar_cache
from gptcache.embedding import SBERT
from gptcache.manager import manager_factory


def main() -> None:
    model, folder, answers, questions = sys.argv[1:]
    torch.set_num_threads(1)
    known = json.loads(Path(answers).read_bytes())
    embedding = SBERT(model)
    manager = manager_factory(
        "sqlite,faiss",
        data_dir=folder,
        vector_params={"dimension": embedding.dimension},
        eviction_params={"max_size": 2 * len(known)},  # its own limit of 1,000 would throw most of them out again
    )
    init_similar_cache(embedding=embedding, data_manager=manager)
    vectors = embedding.model.encode(list(known))  # all at once: filling is not what is measured
    manager.import_data(list(known), list(known.values()), list(vectors), [None] * len(known))
    hits = [question for question in json.loads(Path(questions).read_bytes()) if get(question) is not None]
    asked = cycle(hits)
    for line in sys.stdin:
        what, *seconds = line.split()
        print(json.dumps(hits if what == "known" else timing(asked, float(seconds[0]))), flush=True)


def timing(asked: cycle[str], seconds: float) -> dict[str, float]:
    """As tests.benchmarks.load.Timing has it."""
    times_s = []
    begun = now = time.perf_counter()
    while now < begun + seconds:
        get(next(asked))
        times_s.append(time.perf_counter() - now)
        now += times_s[-1]
    hundredths = quantiles(times_s, n=100, method="inclusive")
    return {
        "per_s": len(times_s) / (now - begun),
        "p50_ms": 1000 * hundredths[49],
        "p99_ms": 1000 * hundredths[98],
    }


if __name__ == "__main__":
    main()
