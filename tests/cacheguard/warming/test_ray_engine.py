"""A real Ray on this machine, with two workers."""

from __future__ import annotations

import gzip
import json
import warnings

import pytest
from logs import Unseen

from cacheguard.stores.base import Filter
from cacheguard.warming.pipeline import warm

ray = pytest.importorskip("ray", reason="cacheguard[ray] is not installed")


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, while it starts
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def log(data, tmp_path):
    """600 questions of a bank's customers, whose answers are worded in three ways."""
    with gzip.open(data / "streams" / "banking77.warm.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for _, line in zip(range(600), lines, strict=False)]
    ways = ("{}", "Sure. {}", "{} Anything else?")
    path = tmp_path / "log.jsonl"
    with path.open("w") as file:
        for at, row in enumerate(rows):
            file.write(json.dumps({"prompt": row["prompt"], "answer": ways[at % 3].format(row["answer_id"])}) + "\n")
    return path


async def groups(store):
    return {(answer.id, answer.text): {one.text for one in its} async for answer, its in store.answers(Filter())}


@pytest.mark.filterwarnings("ignore:::ray", "ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.timeout(600)
async def test_a_cluster_gives_the_groups_that_this_process_gives(cluster, log, place, store, embedder):
    from cacheguard.warming.ray_engine import Ray  # noqa: PLC0415 - behind the skip

    into = place, store, embedder
    local = await warm([log], *into, now=1.0, progress=Unseen())
    expected = await groups(store)
    await store.remove(Filter())
    there = await warm([log], *into, now=1.0, progress=Unseen(), engine=Ray("bundled", "int8", None, 2))
    assert await groups(store) == expected
    assert there.estimate == local.estimate
    assert 1 < there.groups == local.groups < 600
