"""What every vector index promises, held against brute force. A new index is one line in INDEXES or SETS."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_servers import vector_servers

from embeddings.export import prepare
from embeddings.onnx import Encoder
from index.exact import ExactIndex
from index.faiss import FaissIndex
from index.redis import Kept, Shards, VectorSet

NEVER = 10**9
INDEXES = {
    "exact": ExactIndex,
    "exact half": lambda dimension: ExactIndex(dimension, half=True),
    "faiss flat": lambda dimension: FaissIndex(dimension, graph_from=NEVER),
    "faiss graph": lambda dimension: FaissIndex(dimension, graph_from=0),
    "faiss switching": lambda dimension: FaissIndex(dimension, graph_from=1_000),
    "faiss switching twice": lambda dimension: FaissIndex(dimension, graph_from=1_000, compact_from=2_500),
    "faiss switching early": lambda dimension: FaissIndex(dimension, graph_from=5),
}
# On which servers, in how many sets, and how they keep numbers.
SETS = {
    "redis int8": ("redis_url", 1, Kept.INT8),
    "redis float32": ("redis_url", 1, Kept.FLOAT32),
    "redis cluster, three shards": ("redis_cluster", 3, Kept.INT8),
}
SMALL = 8


@asynccontextmanager
async def making(name, servers):
    """Makes fresh indexes. servers: what the fixture gave that SETS names; None for an index in this process."""
    if name in INDEXES:
        yield INDEXES[name]
        return
    _, shards, kept = SETS[name]
    connected = vector_servers(getattr(servers, "url", servers))

    def make(dimension):
        name = uuid4()
        return Shards([VectorSet(connected, f"{name}:{shard}", dimension, kept) for shard in range(shards)])

    yield make
    await connected.aclose()


@pytest.fixture(params=[*INDEXES, *SETS])
async def make(request):
    async with making(request.param, servers_of(request, request.param)) as made:
        yield made


@pytest.fixture
def off_by(request):
    return off(request.node.callspec.params["make"])


def off(name):
    """How much a similarity may differ from the true one, in 8 dimensions."""
    return 0.01 if name == "faiss switching twice" or (name in SETS and SETS[name][2] is Kept.INT8) else 3e-4


def servers_of(request, name):
    return request.getfixturevalue(SETS[name][0]) if name in SETS else None


def unit(rows, dimension=SMALL, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


async def settle(index):
    """Where an index rebuilds itself beside what it serves, wait for it."""
    if isinstance(index, FaissIndex):
        await index.settled()


async def agree(index, oracle, queries, off_by, k=5):
    """Both find the same, in the same order: compared by similarity, for equals may stand in any order."""
    assert await index.count() == await oracle.count()
    for query in queries:
        found, true = await index.search(query, k), await oracle.search(query, k)
        assert len(found) == len(true)
        np.testing.assert_allclose([n.similarity for n in found], [n.similarity for n in true], atol=off_by)
        assert len({n.id for n in found}) == len(found)


@pytest.fixture(scope="module")
def real(questions):
    """Vectors of real questions; the last ones, in the order of the log, are about other things than the first."""
    return Encoder(prepare("bundled")).encode(list(dict.fromkeys(questions))[:2_200]).vectors


def near(vectors, copies):
    """More of the same kind: each vector moved by noise to a cosine of about 0.9."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((copies, *vectors.shape), dtype=np.float32) * 0.5 / np.sqrt(vectors.shape[1])
    moved = (vectors + noise).reshape(-1, vectors.shape[1])
    return np.concatenate((vectors, moved / np.linalg.norm(moved, axis=1, keepdims=True)))


async def recall(index, queries, vectors, off_by, gone=()):
    """The shares of the true nearest and of the true ten nearest that are found. gone: which rows were removed.

    One that is just as near, as exactly as the index keeps numbers, counts as found.
    """
    living = np.delete(vectors, gone, axis=0)
    off_by = max(3e-4, off_by * (SMALL / vectors.shape[1]) ** 0.5)
    truth = -np.sort(-(queries @ living.T), axis=1)
    found = [[n.id for n in await index.search(query, 10)] for query in queries]
    assert not np.isin(found, gone).any()
    near = np.array([vectors[ids] @ query for ids, query in zip(found, queries, strict=True)])
    return np.mean(near[:, 0] >= truth[:, 0] - off_by), np.mean(near >= truth[:, 9:10] - off_by)


async def test_recall_on_real_questions_holds_also_after_thirty_in_a_hundred_are_removed(make, real, off_by):
    queries, vectors = real[-200:], near(real[:-200], copies=1)
    index = make(vectors.shape[1])
    await index.add(np.arange(len(vectors)), vectors)
    await settle(index)
    first, ten = await recall(index, queries, vectors, off_by)
    assert first >= 0.99
    assert ten >= 0.97

    gone = np.random.default_rng(2).permutation(len(vectors))[: len(vectors) * 3 // 10]
    assert await index.remove(gone) == gone.size
    first, ten = await recall(index, queries, vectors, off_by, gone)
    assert first >= 0.99
    assert ten >= 0.97

    # A few more, and an index that buries its dead is built anew.
    more = np.setdiff1d(np.arange(len(vectors)), gone)[:100]
    assert await index.remove(more) == more.size
    await settle(index)
    first, ten = await recall(index, queries, vectors, off_by, np.concatenate((gone, more)))
    assert first >= 0.99
    assert ten >= 0.97


async def test_neighbours_come_nearest_first_with_their_cosine(make, off_by):
    vectors, index = unit(50), make(SMALL)
    await index.add(np.arange(50), vectors)
    found = await index.search(vectors[7], 50)
    assert found[0].id == 7
    similarities = [n.similarity for n in found]
    assert similarities == sorted(similarities, reverse=True)
    np.testing.assert_allclose(similarities, [vectors[n.id] @ vectors[7] for n in found], atol=off_by)


async def test_a_similarity_never_leaves_its_range(make):
    vectors, index = unit(500, dimension=384), make(384)
    await index.add(np.arange(500), np.concatenate((vectors[:250], -vectors[:250])))
    for vector in vectors[:250]:
        found = await index.search(vector * np.float32(1.0004), 500)
        assert all(-1 <= n.similarity <= 1 for n in found)


async def test_an_empty_index_finds_nothing(make):
    index = make(SMALL)
    assert await index.search(unit(1)[0], 3) == []
    assert await index.count() == 0


async def test_nothing_to_add_and_nothing_to_remove_is_fine(make):
    index = make(SMALL)
    await index.add(np.empty(0, np.int64), np.empty((0, SMALL), np.float32))
    assert await index.remove(np.empty(0, np.int64)) == 0
    assert await index.count() == 0


async def test_more_neighbours_than_there_are_gives_all(make):
    index = make(SMALL)
    await index.add(np.array([4, 9]), unit(2))
    assert {n.id for n in await index.search(unit(1)[0], 100)} == {4, 9}


async def test_removing_counts_only_what_was_there(make):
    index = make(SMALL)
    await index.add(np.arange(10), unit(10))
    assert await index.remove(np.array([3, 3, 4, 1_000])) == 2
    assert await index.remove(np.array([3])) == 0
    assert await index.count() == 8


async def test_a_removed_vector_is_never_found(make):
    vectors, index = unit(200), make(SMALL)
    await index.add(np.arange(200), vectors)
    for one in range(0, 200, 2):
        await index.remove(np.array([one]))
        assert one not in {n.id for n in await index.search(vectors[one], 200)}
    await settle(index)
    assert {n.id for n in await index.search(vectors[0], 200)} == set(range(1, 200, 2))


async def test_an_index_can_be_emptied_and_filled_again(make):
    index = make(SMALL)
    for _ in range(3):
        await index.add(np.arange(20), unit(20))
        assert await index.remove(np.arange(20)) == 20
        assert await index.search(unit(1)[0], 3) == []
    await index.add(np.array([5]), unit(1))
    await settle(index)
    assert [n.id for n in await index.search(unit(1)[0], 3)] == [5]


async def test_an_id_that_is_added_again_gets_its_new_vector(make, off_by):
    vectors, index = unit(30), make(SMALL)
    await index.add(np.arange(30), vectors)
    await index.add(np.array([0]), -vectors[:1])
    assert await index.count() == 30
    found = await index.search(-vectors[0], 30)
    assert (found[0].id, found[0].similarity) == (0, pytest.approx(1, abs=off_by))
    assert [n.id for n in found].count(0) == 1


async def test_of_an_id_that_comes_twice_in_one_call_the_last_vector_counts(make, off_by):
    vectors, index = unit(2), make(SMALL)
    await index.add(np.array([7, 7]), vectors)
    assert await index.count() == 1
    assert (await index.search(vectors[1], 1))[0].similarity == pytest.approx(1, abs=off_by)


async def test_ids_may_be_large(make):
    index = make(SMALL)
    await index.add(np.array([2**62, 5]), unit(2))
    assert (await index.search(unit(2)[0], 1))[0].id == 2**62


@pytest.mark.parametrize(
    ("ids", "vectors", "says"),
    [
        ([1], unit(1, dimension=SMALL + 1), r"shape \(1, 9\): expected \(n,\) and \(n, 8\)"),
        ([1, 2], unit(1), "expected"),
        ([1], unit(1)[0], "expected"),
        ([1], np.zeros((1, SMALL)), "the vector of id 1 has length 0, not 1"),
        ([1], np.full((1, SMALL), np.nan), "id 1 has length nan"),
        ([-1], unit(1), "id -1 is negative"),
    ],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(make, ids, vectors, says):
    index = make(SMALL)
    with pytest.raises(ValueError, match=says):
        await index.add(np.array(ids), vectors)
    assert await index.count() == 0


@pytest.mark.parametrize(("query", "k"), [(unit(1, dimension=3)[0], 1), (unit(2), 1), (unit(1)[0], 0)])
async def test_a_query_that_does_not_fit_is_refused(make, query, k):
    with pytest.raises(ValueError, match="expected"):
        await make(SMALL).search(query, k)


async def test_searches_go_on_while_thousands_are_added_and_removed(make, off_by):
    vectors, index = unit(6_000, dimension=16), make(16)
    ids = np.arange(6_000)
    await index.add(ids[:100], vectors[:100])
    searches = []

    async def change():
        await index.add(ids[100:3_000], vectors[100:3_000])
        await asyncio.gather(
            index.add(ids[3_000:], vectors[3_000:]),
            *(index.remove(ids[start : start + 10]) for start in range(100, 1_500, 10)),
        )

    async def search():
        while not changing.done():
            one = len(searches) % 100
            searches.append((await index.search(vectors[one], 3))[0].id == one)
            await asyncio.sleep(0)

    changing = asyncio.create_task(change())
    await asyncio.gather(changing, search(), search())
    assert len(searches) > 2
    assert sum(searches) >= 0.99 * len(searches)

    await settle(index)
    assert await index.count() == 4_600
    first, ten = await recall(index, vectors[:100], vectors, off_by, ids[100:1_500])
    assert first >= 0.99
    assert ten >= 0.97


async def test_a_cancelled_addition_leaves_a_sound_index(make):
    vectors, index = unit(5_000, dimension=16), make(16)
    adding = asyncio.create_task(index.add(np.arange(5_000), vectors))
    await index.search(vectors[0], 1)
    adding.cancel()
    await asyncio.wait([adding])
    await index.add(np.arange(5_000), vectors)
    await settle(index)
    assert await index.count() == 5_000
    assert (await index.search(vectors[4_999], 1))[0].id == 4_999


IDS = st.lists(st.integers(0, 40), max_size=12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), IDS, st.integers(0, 2**16)),
        st.tuples(st.just("remove"), IDS, st.just(0)),
        st.tuples(st.just("settle"), st.just([]), st.just(0)),
        st.tuples(st.just("search"), st.just([]), st.integers(0, 2**16)),
    ),
    max_size=25,
)


@pytest.mark.parametrize("name", [*INDEXES, *SETS])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_it_finds_what_brute_force_finds(request, name, steps):
    async def play():
        async with making(name, servers) as make:
            await follow(make(SMALL), ExactIndex(SMALL))

    async def follow(index, oracle):
        for action, numbers, seed in steps:
            ids = np.array(numbers, dtype=np.int64)
            match action:
                case "add":
                    for one in (index, oracle):
                        await one.add(ids, unit(ids.size, seed=seed))
                case "remove":
                    assert await index.remove(ids) == await oracle.remove(ids)
                case "settle":
                    await settle(index)
                case "search":
                    await agree(index, oracle, unit(1, seed=seed), off(name))
        await settle(index)
        await agree(index, oracle, unit(3), off(name))

    servers = servers_of(request, name)
    asyncio.run(play())


async def test_the_vectors_of_what_is_there_come_back_as_they_were_put(make, off_by):
    index, vectors = make(SMALL), unit(20)
    await index.add(np.arange(20), vectors)
    await index.add(np.array([3]), vectors[7:8])
    await index.remove(np.array([5]))
    await settle(index)
    found = await index.vectors([3, 5, 19, 99])
    assert found.keys() == {3, 19}
    assert {vector.dtype for vector in found.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(np.stack([found[3], found[19]]), vectors[[7, 19]], atol=off_by)
    assert await index.vectors([]) == await index.vectors([99]) == {}
