"""What every store promises, run on each of them."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cacheguard.errors import ModelMismatch, RuleChanged, StoreError
from cacheguard.stores.base import Account, Counts, Filter, Label, NewPhrasing, Served, SpendingKey
from cacheguard.stores.first_level import FirstLevel
from cacheguard.stores.memory import MemoryStore
from cacheguard.stores.redis import RedisStore
from cacheguard.stores.redis_place import read_place
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.types import Answer, Origin, Provenance, new_answer_id

DIMENSION = 8


@pytest.fixture(params=["memory", "sqlite", "redis", "redis cluster"])
async def make(request, tmp_path):
    """Opens fresh stores of one kind."""
    match request.param:
        case "memory":
            kind = MemoryStore
        case "sqlite":
            kind = partial(SqliteStore, tmp_path / "cache.db")
        case "redis":
            kind = partial(RedisStore, read_place(request.getfixturevalue("redis_url")))
        case _:
            kind = partial(RedisStore, read_place(request.getfixturevalue("redis_cluster").url))
    stores = []

    async def fresh(**options):
        store = kind(**options)
        stores.append(store)
        await store.open("model-1")
        return store

    yield fresh
    for store in stores:
        await store.aclose()


@pytest.fixture
async def store(make):
    return await make()


async def test_a_store_is_known_again(make):
    store = await make()
    identity = store.identity
    assert identity
    await store.aclose()
    await store.open("model-1")
    assert store.identity == identity


def vector(seed):
    values = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return values / np.linalg.norm(values)


def answer(text="yes", **fields):
    defaults = {
        "id": new_answer_id(),
        "scope": "scope",
        "tenant": "tenant",
        "route": "faq",
        "text": text,
        "provenance": Provenance("strong", "gpt", 0.25, ("not_empty", "complete"), "ann"),
        "created_at": 100.0,
        "refreshed_at": 200.0,
    }
    return Answer(**{**defaults, **fields})


def asked(key, seed=None, **fields):
    made = None if seed is None else vector(seed)
    return NewPhrasing(key, fields.get("text", key.upper()), fields.get("origin", Origin.MISS), 5.0, made)


async def everything(store, which=Filter()):  # noqa: B008 - frozen
    return [pair async for pair in store.answers(which)]


async def texts(store, which):
    return [found.text for found, _ in await everything(store, which)]


def label(right, at, **fields):
    defaults = {"scope": "scope", "route": "faq", "key": "k", "text": "K", "answer_id": "a", "by": "ann"}
    return Label(**{**defaults, **fields}, right=right, created_at=at)


# Answers and phrasings


async def test_a_kept_answer_comes_back_whole(store):
    kept = answer(ttl_s=60.0, tags=("a", "b"), source_id="log-1")
    (id_,) = await store.keep(kept, [asked("key", 1, text="Key?", origin=Origin.PERSON)])
    found = await store.exact("scope", "key")
    assert found.answer == kept
    phrasing = found.phrasing
    assert (phrasing.id, phrasing.answer_id, phrasing.scope) == (id_, kept.id, "scope")
    assert (phrasing.key, phrasing.text, phrasing.created_at) == ("key", "Key?", 5.0)
    assert phrasing.origin is Origin.PERSON


async def test_what_was_never_kept_is_not_found(store):
    await store.keep(answer(), [asked("key")])
    assert await store.exact("scope", "ke") is None
    assert await store.known([99]) == []


async def test_ids_come_in_the_order_of_the_phrasings_and_are_positive(store):
    ids = await store.keep(answer(), [asked("b"), asked("a"), asked("c")])
    assert all(id_ > 0 for id_ in ids)
    assert [known.phrasing.key for known in await store.known(ids)] == ["b", "a", "c"]


async def test_known_keeps_the_order_asked_for_and_leaves_out_what_is_gone(store):
    first, second, third = await store.keep(answer(), [asked("a"), asked("b"), asked("c")])
    await store.remove_phrasing(second)
    assert [known.phrasing.id for known in await store.known([third, second, first])] == [third, first]


async def test_ids_of_removed_phrasings_are_never_given_again(store):
    (former,) = await store.keep(answer(), [asked("a", 1)])
    await store.remove(Filter())
    (now,) = await store.keep(answer(), [asked("a", 1)])
    assert now > former


async def test_the_same_id_refreshes_in_place(store):
    old = answer("old")
    (id_,) = await store.keep(old, [asked("a")])
    new = replace(
        old, text="new", refreshed_at=900.0, ttl_s=1.0, tags=("t",), provenance=Provenance("cheap"), created_at=800.0
    )
    assert await store.keep(new, [asked("a")]) == [id_]
    assert (await store.exact("scope", "a")).answer == replace(new, created_at=100.0)
    assert (await store.counts()).answers == 1


async def test_the_same_source_id_refreshes_in_place_and_keeps_its_id(store):
    first = answer("old", source_id="log-7")
    await store.keep(first, [asked("a")])
    await store.keep(answer("new", source_id="log-7"), [asked("b")])
    found = await store.exact("scope", "b")
    assert (found.answer.id, found.answer.text) == (first.id, "new")
    assert (await store.exact("scope", "a")).answer == found.answer


async def test_an_empty_source_id_is_no_source(store):
    await store.keep(answer("one"), [asked("a")])
    await store.keep(answer("two"), [asked("b")])
    assert (await store.exact("scope", "a")).answer.text == "one"


async def test_an_id_goes_before_a_source_id(store):
    await store.keep(answer("by id", id="ans_1"), [asked("a")])
    await store.keep(answer("by source", id="ans_2", source_id="s"), [asked("b")])
    await store.keep(answer("new", id="ans_1", source_id="s"), [asked("c")])
    assert (await store.exact("scope", "c")).answer.id == "ans_1"
    assert (await store.exact("scope", "b")).answer.text == "by source"


async def test_a_removed_answers_source_id_founds_a_new_answer(store):
    await store.keep(answer(source_id="s"), [asked("a")])
    await store.remove(Filter())
    new = answer("new", source_id="s")
    await store.keep(new, [asked("a")])
    assert (await store.exact("scope", "a")).answer == new


async def test_a_known_phrasing_moves_and_keeps_its_id(store):
    first, second = answer("one"), answer("two")
    moved, stays = await store.keep(first, [asked("a", 1), asked("b", 2)])
    assert await store.keep(second, [asked("a", 3, text="A!", origin=Origin.JUDGE)]) == [moved]
    found = await store.exact("scope", "a")
    assert found.answer == second
    assert (found.phrasing.text, found.phrasing.origin) == ("A!", Origin.JUDGE)
    assert (await store.known([stays]))[0].answer == first
    np.testing.assert_array_equal((await store.vectors("scope", [moved])).vectors, [vector(3)])


async def test_an_answer_that_loses_its_last_phrasing_by_a_move_is_removed(store):
    await store.keep(answer("one"), [asked("a")])
    await store.keep(answer("two"), [asked("a")])
    assert await texts(store, Filter()) == ["two"]


async def test_one_key_twice_in_one_call_is_one_phrasing(store):
    first, second = await store.keep(answer(), [asked("a", text="A"), asked("a", text="a")])
    assert first == second
    assert (await store.exact("scope", "a")).phrasing.text == "a"


async def test_phrasings_added_to_an_answer_change_nothing_else_of_it(store):
    kept = answer()
    await store.keep(kept, [asked("a", 1)])
    ids = await store.add_phrasings(kept.id, [asked("b", 2), asked("c")])
    [(found, its)] = await everything(store)
    assert found == kept
    assert [(one.id, one.key) for one in its[1:]] == list(zip(ids, "bc", strict=True))
    assert list((await store.vectors("scope")).ids) == [its[0].id, ids[0]]


async def test_a_phrasing_added_moves_from_the_answer_that_had_it(store):
    one, other = answer(), answer()
    (former,) = await store.keep(one, [asked("a", 1)])
    await store.keep(other, [asked("b", 2)])
    assert await store.add_phrasings(other.id, [asked("a", 1)]) == [former]
    assert [found.id for found, _ in await everything(store)] == [other.id]


async def test_phrasings_of_an_answer_that_is_gone_are_not_added(store):
    kept = answer()
    await store.keep(kept, [asked("a")])
    await store.remove(Filter())
    assert await store.add_phrasings(kept.id, [asked("b", 1)]) == []
    assert (await store.counts()).phrasings == 0


async def test_an_answer_without_phrasings_is_not_kept(store):
    assert await store.keep(answer(), []) == []
    assert await everything(store) == []


async def test_removing_the_last_phrasing_removes_the_answer(store):
    first, second = await store.keep(answer(), [asked("a", 1), asked("b", 2)])
    assert await store.remove_phrasing(first)
    assert await store.exact("scope", "a") is None
    assert (await store.counts()).answers == 1
    assert await store.remove_phrasing(second)
    assert await store.counts() == Counts(answers=0, phrasings=0, vectors=0, labels=0, scopes=0)
    assert not await store.remove_phrasing(second)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.tuples(st.text(), st.text(), st.text(), st.text(), st.text()))
async def test_any_unicode_comes_back_as_it_was(store, texts):
    scope, key, text, tag, source = texts
    kept = answer(text, scope=scope, tenant=tag, source_id=source, tags=(tag,), provenance=Provenance(text, tag))
    await store.keep(kept, [asked(key, 1, text=text)])
    found = await store.exact(scope, key)
    assert (found.phrasing.text, found.answer.text, found.answer.tags) == (text, text, (tag,))
    assert await store.remove(Filter(tag=tag, tenant=tag, model=tag, ids=(found.answer.id,))) == 1


async def test_keys_that_differ_only_behind_a_nul_or_in_case_are_different(store):
    keys = ["a", "a\0", "a\0b", "a\0c", "A", "a ", "á", "a\u0301", ""]
    for key in keys:
        await store.keep(answer(repr(key)), [asked(key)])
    for key in keys:
        assert (await store.exact("scope", key)).answer.text == repr(key)


async def test_very_long_texts_come_back_whole(store):
    key = "wörd " * 200_000
    kept = answer(key * 2)
    await store.keep(kept, [asked(key)])
    assert (await store.exact("scope", key)).answer == kept
    assert await store.exact("scope", key[:-1]) is None


# The wall between scopes


async def test_one_key_in_two_scopes_is_two_phrasings(store):
    await store.keep(answer("ours", scope="x", tenant="x"), [asked("a", 1)])
    await store.keep(answer("theirs", scope="y", tenant="y"), [asked("a", 2)])
    assert (await store.exact("x", "a")).answer.text == "ours"
    assert (await store.exact("y", "a")).answer.text == "theirs"
    assert await store.exact("z", "a") is None


async def test_vectors_of_another_scope_are_not_given_even_by_id(store):
    (ours,) = await store.keep(answer(scope="x"), [asked("a", 1)])
    (theirs,) = await store.keep(answer(scope="y"), [asked("a", 2)])
    assert (await store.vectors("x", [ours, theirs])).ids.tolist() == [ours]


async def test_one_source_id_in_two_scopes_is_two_answers(store):
    await store.keep(answer("ours", scope="x", source_id="s"), [asked("a")])
    await store.keep(answer("theirs", scope="y", source_id="s"), [asked("a")])
    assert (await store.exact("x", "a")).answer.text == "ours"


async def test_an_answer_can_not_be_taken_into_another_scope_by_its_id(store):
    ours = answer("ours", scope="x")
    await store.keep(ours, [asked("a")])
    with pytest.raises(StoreError):
        await store.keep(replace(ours, scope="y"), [asked("a")])
    assert await store.exact("y", "a") is None
    assert (await store.exact("x", "a")).answer == ours


# Filters


@pytest.mark.parametrize(
    ("which", "left"),
    [
        (Filter(), []),
        (Filter(tenant="t1"), ["three"]),
        (Filter(route="faq"), ["two"]),
        (Filter(tag="a"), ["two", "three"]),
        (Filter(tag="ab"), ["one", "three"]),
        (Filter(tag="%"), ["one", "two", "three"]),
        (Filter(tag=""), ["one", "two", "three"]),
        (Filter(model="m1"), ["two", "three"]),
        (Filter(refreshed_before=20.0), ["two", "three"]),
        (Filter(ids=("ans_1", "ans_3", "ans_9")), ["two"]),
        (Filter(ids=()), ["one", "two", "three"]),
        (Filter(tenant="t1", route="chat"), ["one", "three"]),
        (Filter(tenant="t2", tag="a"), ["one", "two", "three"]),
    ],
)
async def test_remove_takes_exactly_what_fits_all_fields(store, which, left):
    one = answer("one", id="ans_1", tenant="t1", created_at=1.0, refreshed_at=10.0, tags=("a", "x"))
    two = answer("two", id="ans_2", tenant="t1", route="chat", created_at=2.0, refreshed_at=20.0, tags=("ab",))
    three = answer("three", id="ans_3", tenant="t2", created_at=3.0, refreshed_at=30.0)
    await store.keep(replace(one, provenance=Provenance("strong", "m1")), [asked("1", 1), asked("1b")])
    await store.keep(replace(two, provenance=Provenance("strong", "m11")), [asked("2", 2)])
    await store.keep(replace(three, provenance=Provenance("m1", "")), [asked("3", 3)])
    fitting = await texts(store, which)
    assert await store.remove(which) == len(fitting) == 3 - len(left)
    assert await texts(store, Filter()) == left
    assert (await store.vectors("scope")).ids.size == len(left)


async def test_answers_come_oldest_first_each_with_all_its_phrasings(store):
    for n in reversed(range(600)):  # more than any store reads at once
        await store.keep(answer(str(n), created_at=float(n // 2)), [asked(f"{n}a"), asked(f"{n}b", n)])
    pairs = await everything(store)
    assert sorted(int(found.text) for found, _ in pairs) == list(range(600))
    assert [found.created_at for found, _ in pairs] == sorted(found.created_at for found, _ in pairs)
    for found, phrasings in pairs:
        assert [phrasing.key for phrasing in phrasings] == [f"{found.text}a", f"{found.text}b"]
        assert {phrasing.answer_id for phrasing in phrasings} == {found.id}


async def test_answers_may_be_removed_while_they_are_read(store):
    for n in range(300):
        await store.keep(answer(str(n), created_at=float(n)), [asked(str(n))])
    seen = []
    async for found, phrasings in store.answers(Filter()):
        assert phrasings
        seen.append(found.text)
        await store.remove(Filter(ids=(found.id,)))
    assert seen == [str(n) for n in range(300)]
    assert await everything(store) == []


# Vectors and the history that indexes follow


async def test_vectors_come_back_exactly_ascending_by_id(store):
    ids = await store.keep(answer(), [asked("a", 1), asked("b"), asked("c", 3)])
    found = await store.vectors("scope")
    assert (found.ids.dtype, found.vectors.dtype) == (np.int64, np.float32)
    assert found.ids.tolist() == [ids[0], ids[2]]
    np.testing.assert_array_equal(found.vectors, [vector(1), vector(3)])


async def test_vectors_of_some_ids_ascend_too_and_leave_out_what_is_gone(store):
    ids = await store.keep(answer(), [asked(str(n), n) for n in range(6)])
    await store.remove_phrasing(ids[1])
    found = await store.vectors("scope", [ids[4], ids[1], ids[0], 10_000])
    assert found.ids.tolist() == [ids[0], ids[4]]
    np.testing.assert_array_equal(found.vectors, [vector(0), vector(4)])


async def test_an_empty_scope_has_no_vectors(store):
    await store.keep(answer(), [asked("a")])
    for found in (await store.vectors("scope"), await store.vectors("scope", []), await store.vectors("none")):
        assert found.ids.shape == (0,)
        assert len(found.vectors) == 0


async def test_a_scope_larger_than_a_batch_comes_whole(store):
    ids = await store.keep(answer(), [asked(str(n), n % 50) for n in range(9_000)])
    found = await store.vectors("scope")
    assert found.ids.tolist() == ids
    np.testing.assert_array_equal(found.vectors[8_999], vector(8_999 % 50))
    assert (await store.vectors("scope", ids[::-1])).ids.tolist() == ids


async def test_a_phrasing_kept_again_without_a_vector_is_found_by_exact_matches_only(store):
    (id_,) = await store.keep(answer(), [asked("a", 1)])
    before = await store.latest_change()
    await store.keep(answer(), [asked("a")])
    assert (await store.vectors("scope")).ids.size == 0
    assert (await store.changes(before))[-1][2:] == (id_, True)
    assert await store.exact("scope", "a") is not None


async def test_a_kept_vector_is_not_changed_by_its_giver(store):
    given_ = vector(1)
    await store.keep(answer(), [replace(asked("a"), vector=given_)])
    given_[:] = 0
    np.testing.assert_array_equal((await store.vectors("scope")).vectors, [vector(1)])


async def test_history_tells_additions_moves_and_removals_in_order(store):
    assert await store.latest_change() == 0
    assert await store.changes(0) == []
    (one,) = await store.keep(answer(scope="x"), [asked("a", 1)])
    (two,) = await store.keep(answer(scope="y"), [asked("a", 2)])
    await store.keep(answer(scope="x"), [asked("a", 3)])
    await store.remove_phrasing(one)
    steps = await store.changes(0)
    told = {scope: [step[2:] for step in steps if step.scope == scope] for scope in "xy"}
    assert told == {"x": [(one, False), (one, False), (one, True)], "y": [(two, False)]}
    assert [step.seq for step in steps] == sorted({step.seq for step in steps})
    assert await store.latest_change() == steps[-1].seq
    assert await store.changes(steps[1].seq) == steps[2:]
    assert await store.changes(0, limit=2) == steps[:2]
    assert await store.changes(steps[-1].seq) == []


async def test_trimmed_history_says_load_again(make):
    store = await make(history=5)
    latest = []
    for n in range(8):
        await store.keep(answer(), [asked(str(n), n)])
        latest.append(await store.latest_change())
    assert await store.changes(0) is None
    assert await store.changes(latest[1]) is None
    assert [change.seq for change in await store.changes(latest[2])] == latest[3:]


async def test_a_follower_of_another_stores_history_loads_again(store):
    await store.keep(answer(), [asked("a", 1)])
    assert await store.changes(1_000) is None


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("keep"),
            st.sampled_from("xy"),  # scope
            st.integers(0, 3),  # source of the answer
            st.lists(st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 9))), max_size=3),
        ),
        st.tuples(st.just("remove phrasing"), st.sampled_from("xy"), st.sampled_from("abcdef")),
        st.tuples(st.just("remove tag"), st.integers(0, 3)),
        st.tuples(st.just("follow")),
    ),
    max_size=25,
)


async def take(store, step, text=""):
    match step:
        case ("keep", scope, source, phrasings):
            made = answer(text or f"{source}", scope=scope, source_id=str(source), tags=(str(source),))
            await store.keep(made, [asked(key, seed) for key, seed in phrasings])
        case ("remove phrasing", scope, key):
            if found := await store.exact(scope, key):
                await store.remove_phrasing(found.phrasing.id)
        case ("label", scope, key, right):
            if found := await store.exact(scope, key):
                await store.add_labels([label(right=right, at=1.0, scope=scope, key=key, answer_id=found.answer.id)])
        case ("remove tag", source):
            await store.remove(Filter(tag=str(source)))


async def follow(store, after, followed):
    """An index of all scopes that applies the changes since `after`."""
    for change in await store.changes(after):
        after = change.seq
        found = await store.vectors(change.scope, [change.phrasing_id])
        followed.pop(change.phrasing_id, None)
        if found.ids.size:
            followed[change.phrasing_id] = found.vectors[0].tolist()
    return after


async def summary(store):
    """Everything but ids, which stores may give as they like."""
    embedded = {id_ for scope in "xy" for id_ in (await store.vectors(scope)).ids.tolist()}
    return sorted(
        (found.scope, found.text, sorted((p.key, p.text, p.id in embedded) for p in phrasings))
        for found, phrasings in await everything(store)
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_a_follower_ends_with_the_stores_vectors_whatever_happened(store, steps):
    await store.remove(Filter())
    after, followed = await store.latest_change(), {}
    for step in [*steps, ("follow",)]:
        await take(store, step)
        if step == ("follow",):
            after = await follow(store, after, followed)
    for scope in "xy":
        found = await store.vectors(scope)
        for id_, row in zip(found.ids.tolist(), found.vectors.tolist(), strict=True):
            assert followed.pop(id_) == row
    assert followed == {}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_every_store_holds_what_the_simplest_one_holds(store, steps):
    await store.remove(Filter())
    oracle = MemoryStore()
    await oracle.open("model-1")
    for step in steps:
        await take(store, step)
        await take(oracle, step)
    assert await summary(store) == await summary(oracle)
    assert replace(await store.counts(), labels=0) == await oracle.counts()


# News


@pytest.mark.parametrize("write", ["refresh", "move", "remove phrasing", "remove answer", "call wrong"])
async def test_every_write_that_makes_a_row_old_is_told(store, write):
    kept = answer()
    (id_,) = await store.keep(kept, [asked("k", 1)])
    store.news()
    assert not store.news()
    match write:
        case "refresh":
            await store.keep(replace(kept, text="no"), [])
            assert kept.id in {one.answer_id for one in store.news()}
            return
        case "move":
            await store.keep(answer(), [asked("k", 1)])
        case "remove phrasing":
            await store.remove_phrasing(id_)
        case "remove answer":
            await store.remove(Filter())
        case "call wrong":
            await store.add_labels([label(right=False, at=1.0, answer_id=kept.id)])
    told = store.news()
    assert ("scope", "k") in {(one.scope, one.key) for one in told}
    assert write == "call wrong" or id_ in {one.phrasing_id for one in told}


async def test_a_new_phrasing_is_told_since_it_may_have_been_missed(store):
    store.news()
    (id_,) = await store.keep(answer(), [asked("k")])
    assert ("scope", "k", id_) in {one[1:] for one in store.news()}


async def test_too_much_news_is_no_news_to_rely_on(make):
    store = await make(history=5)
    store.news()
    for n in range(8):
        await store.keep(answer(), [asked(str(n))])
    assert store.news() is None
    assert store.news() is not None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_rows_kept_in_memory_are_those_of_the_store(store, steps):
    await store.remove(Filter())
    memory = FirstLevel(store, kept=4)
    for at, step in enumerate(steps):
        await take(store, step, text=str(at))
        if step[0] == "remove phrasing":
            await take(store, ("label", step[1], "abcdef"[at % 6], at % 3 == 0))
        for scope, key in itertools.product("xy", "abcdef"):
            found = await store.exact(scope, key)
            assert await memory.exact(scope, key) == found
            assert memory.at_hand(scope, key) in (None, found)
        ids = [p.id for _, phrasings in await everything(store) for p in phrasings]
        assert await memory.known(ids) == await store.known(ids)


async def test_a_new_answer_kept_through_memory_reads_as_from_the_store(store):
    memory = FirstLevel(store)
    first = await memory.keep_new(answer("yes", tags=("a",)), asked("k"))
    await memory.keep_new(answer("no"), asked("other"))
    (*rows,) = await memory.known([first.phrasing.id])
    assert rows == [first] == await store.known([first.phrasing.id])
    assert await memory.exact("scope", "k") == first
    again = await memory.keep_new(answer("by now"), asked("k"))  # the phrasing moves to it
    assert await memory.known([first.phrasing.id]) == [again]
    assert await memory.exact("scope", "k") == again


@pytest.mark.parametrize("write", ["refresh", "move", "remove"])
async def test_what_is_kept_through_memory_and_written_at_once_is_read_again(store, monkeypatch, write):
    """Between a write's commit and its caller's next step, others may write."""
    memory, kept, keep = FirstLevel(store), answer("yes"), store.keep

    async def keep_then_write(one, phrasings):
        ids = await keep(one, phrasings)
        match write:
            case "refresh":
                await keep(replace(one, text="by now"), [])
            case "move":
                await keep(answer("elsewhere"), [asked("k")])
            case "remove":
                await store.remove(Filter())
        return ids

    monkeypatch.setattr(store, "keep", keep_then_write)
    known = await memory.keep_new(kept, asked("k"))
    assert await memory.known([known.phrasing.id]) == await store.known([known.phrasing.id]) != [known]


# Labels


async def test_labels_come_back_whole_and_oldest_first(store):
    late = label(right=False, at=20.0, note="no", similarity=0.9)
    early = label(right=True, at=10.0)
    await store.add_labels([late, early])
    await store.add_labels([label(right=True, at=1.0, route="chat")])
    assert await store.labels("faq") == [early, late]
    assert (await store.counts()).labels == 3


async def test_an_answer_called_wrong_is_barred_for_exactly_that_question(store):
    await store.add_labels([label(right=False, at=1.0)])
    assert await store.barred("scope", "k") == {"a"}
    assert await store.barred("scope", "other") == frozenset()
    assert await store.barred("elsewhere", "k") == frozenset()


@pytest.mark.parametrize(
    ("said", "barred"),
    [
        ([], False),
        ([(True, 1.0)], False),
        ([(False, 1.0), (True, 2.0)], False),
        ([(True, 2.0), (False, 1.0)], False),
        ([(True, 1.0), (False, 2.0)], True),
        ([(False, 1.0), (True, 2.0), (False, 3.0)], True),
        ([(False, 1.0), (True, 1.0)], False),
    ],
)
async def test_the_newest_label_decides_whether_an_answer_is_barred(store, said, barred):
    for right, at in said:
        await store.add_labels([label(right=right, at=at), label(right=True, at=9.0, answer_id="b")])
    assert await store.barred("scope", "k") == (frozenset({"a"}) if barred else frozenset())


async def test_a_barred_pair_is_not_found_however_it_came_back(store):
    kept = answer()
    await store.add_labels([label(right=False, at=1.0, answer_id=kept.id)])
    await store.keep(kept, [asked("k", 1), asked("other", 2)])
    assert await store.exact("scope", "k") is None
    assert (await store.exact("scope", "other")).answer == kept
    await store.add_labels([label(right=True, at=2.0, answer_id=kept.id)])
    assert (await store.exact("scope", "k")).answer == kept


async def test_the_newest_labels_are_to_be_had_alone(store):
    said = [label(right=True, at=float(at)) for at in range(5)]
    await store.add_labels(said)
    assert await store.labels("faq", 2) == said[-2:]
    assert await store.labels("faq", 9) == said


async def test_labels_outlive_their_answers(store):
    kept = answer()
    await store.keep(kept, [asked("k")])
    await store.add_labels([label(right=False, at=1.0, answer_id=kept.id)])
    await store.remove(Filter())
    assert await store.barred("scope", "k") == {kept.id}


async def test_a_served_hit_is_found_by_its_completion(store):
    hit = Served("cmpl-1", "scope", "k", "K?", "a", 7, 0.93, 5.0)
    await store.add_served(hit)
    await store.add_served(replace(hit, completion_id="cmpl-2", similarity=0.8))
    assert await store.served("cmpl-1") == hit
    assert await store.served("cmpl-3") is None


def near(kept, id_, completion_id, key="k", **fields):
    named = {"route": "faq", "confidence": 0.8, "is_near_miss": True}
    return Served(completion_id, "scope", key, key.upper(), kept.id, id_, 0.9, 5.0, **{**named, **fields})


async def test_a_near_miss_comes_back_whole(store):
    one = near(answer(), 7, "near-1")
    await store.add_served(one)
    assert await store.served("near-1") == one


async def test_what_nobody_judged_is_found_newest_first_and_each_pair_once(store):
    kept, gone = answer(), answer()
    (id_,) = await store.keep(kept, [asked("a")])
    (gone_id,) = await store.keep(gone, [asked("b")])
    await store.remove(Filter(ids=(gone.id,)))
    for one in (
        near(kept, id_, "1"),
        near(kept, id_, "2", key="l", is_near_miss=False),
        near(kept, id_, "3"),
        near(kept, id_, "4", key="judged"),
        near(kept, id_, "5", route="shop"),
        near(gone, gone_id, "6"),
    ):
        await store.add_served(one)
    await store.add_labels([label(right=True, at=1.0, key="judged", answer_id=kept.id)])
    await store.served("6")  # by then, what was added before is there
    assert [one.completion_id for one in await store.unjudged("faq", 10)] == ["3", "2"]
    assert [one.completion_id for one in await store.unjudged("faq", 1)] == ["3"]
    assert await store.unjudged("chat", 10) == []


async def test_the_times_of_hits_are_those_of_the_route_and_no_near_misses(store):
    for number, at in enumerate((1.0, 2.0, 3.0)):
        await store.add_served(replace(near(answer(), 1, str(number)), at=at, is_near_miss=False))
    await store.add_served(near(answer(), 1, "near"))
    await store.add_served(near(answer(), 1, "other", route="shop", is_near_miss=False))
    await store.served("other")
    assert await store.hit_times("faq", 10) == [1.0, 2.0, 3.0]
    assert await store.hit_times("faq", 2) == [2.0, 3.0]


# Changing the model


async def test_vectors_of_another_model_are_refused_with_the_way_out(store):
    await store.keep(answer(), [asked("a", 1)])
    await store.aclose()
    with pytest.raises(ModelMismatch, match="cacheguard entries re-embed"):
        await store.open("model-2")
    await store.open("model-1")
    assert (await store.vectors("scope")).ids.size == 1


async def test_another_model_is_welcome_where_no_vectors_are(store):
    await store.keep(answer(), [asked("a")])
    await store.aclose()
    await store.open("model-2")
    assert await store.exact("scope", "a") is not None


async def test_reembedding_goes_on_where_it_was_stopped(store):
    ids = await store.keep(answer(), [asked(str(n), n) for n in range(10)])
    await store.aclose()
    await store.open("model-2", reembedding=True)
    assert (await store.vectors("scope")).ids.size == 0
    first = await store.outdated(4)
    await store.put_vectors([p.id for p in first], np.array([vector(100 + int(p.key)) for p in first]))
    await store.aclose()
    with pytest.raises(ModelMismatch):
        await store.open("model-2")

    await store.open("model-2", reembedding=True)
    seen = {phrasing.id for phrasing in first}
    while batch := await store.outdated(4):
        assert seen.isdisjoint(phrasing.id for phrasing in batch)
        seen.update(phrasing.id for phrasing in batch)
        await store.put_vectors([p.id for p in batch], np.array([vector(100 + int(p.key)) for p in batch]))
    await store.aclose()

    await store.open("model-2")
    found = await store.vectors("scope")
    assert found.ids.tolist() == ids
    np.testing.assert_array_equal(found.vectors, [vector(100 + n) for n in range(10)])


async def test_a_new_vector_is_told_to_followers_and_one_for_a_removed_phrasing_is_dropped(store):
    stays, goes, bare = await store.keep(answer(), [asked("a", 1), asked("b", 2), asked("c")])
    await store.remove_phrasing(goes)
    latest = await store.latest_change()
    await store.put_vectors([stays, goes, bare], np.array([vector(7), vector(8), vector(9)]))
    assert [change[1:] for change in await store.changes(latest)] == [("scope", stays, False)]
    assert (await store.vectors("scope")).ids.tolist() == [stays]


# Many at once


async def test_concurrent_keeps_are_all_kept(store):
    await asyncio.gather(*(store.keep(answer(str(n)), [asked(str(n), n)]) for n in range(200)))
    for n in range(200):
        assert (await store.exact("scope", str(n))).answer.text == str(n)
    assert (await store.counts()) == Counts(answers=200, phrasings=200, vectors=200, labels=0, scopes=1)


async def test_concurrent_keeps_of_one_question_leave_one_answer(store):
    await asyncio.gather(*(store.keep(answer(str(n)), [asked("same", n)]) for n in range(50)))
    assert (await store.counts()) == Counts(answers=1, phrasings=1, vectors=1, labels=0, scopes=1)


# Spending

SHOP = SpendingKey(Account("tenant", "shop"), "day", 86400)


async def test_what_was_spent_adds_up(store):
    assert await store.add_spending({SHOP: 0.5}) == {SHOP: 0.5}
    assert await store.add_spending({SHOP: 0.25}) == {SHOP: 0.75}
    assert await store.add_spending({SHOP: -0.5}) == {SHOP: 0.25}


async def test_asking_for_a_sum_adds_nothing(store):
    assert await store.add_spending({}) == {}
    assert await store.add_spending({SHOP: 0}) == {SHOP: 0}
    await store.add_spending({SHOP: 0.5})
    assert await store.add_spending({SHOP: 0}) == {SHOP: 0.5}


async def test_every_account_and_window_has_its_own_sum(store):
    keys = [
        SHOP,
        SHOP._replace(since=2 * 86400),
        SHOP._replace(per="month"),
        SHOP._replace(account=Account("route", "shop")),
        SHOP._replace(account=Account("tenant", "bank")),
    ]
    spent = {key: float(n) for n, key in enumerate(keys, start=1)}
    assert await store.add_spending(spent) == spent
    assert await store.add_spending({SHOP: 1}) == {SHOP: 2}


async def test_what_was_spent_is_there_after_closing_and_opening(store):
    await store.add_spending({SHOP: 0.5})
    await store.aclose()
    await store.open("model-2")
    assert await store.add_spending({SHOP: 0}) == {SHOP: 0.5}


async def test_what_was_spent_is_added_even_where_nobody_waits_for_it(store):
    adding = asyncio.create_task(store.add_spending({SHOP: 0.5}))
    await asyncio.sleep(0)
    adding.cancel()
    await asyncio.wait([adding])
    assert await store.add_spending({SHOP: 0}) == {SHOP: 0.5}


async def test_spending_at_once_loses_nothing(store):
    sums = await asyncio.gather(*(store.add_spending({SHOP: 1}) for _ in range(20)))
    assert [each[SHOP] for each in sums] == list(range(1, 21))


# Rules


async def test_the_newest_rule_of_each_route_is_in_force_and_the_earlier_ones_stay_known(store):
    assert (await store.rules("faq"), await store.rules_in_force()) == ([], [])
    first = await store.add_rule("faq", '{"threshold": 0.9}', by="tune", created_at=1.0)
    second = await store.add_rule("faq", '{"threshold": 0.95}', by="tightening", created_at=2.0)
    other = await store.add_rule("shop", "{}", by="tune", created_at=3.0)
    assert [(rule.version, rule.by, rule.body) for rule in (first, second)] == [
        (1, "tune", '{"threshold": 0.9}'),
        (2, "tightening", '{"threshold": 0.95}'),
    ]
    assert other.version == 1
    assert await store.rules("faq") == [first, second]
    assert {rule.route: rule for rule in await store.rules_in_force()} == {"faq": second, "shop": other}


async def test_rules_are_there_after_closing_and_opening(store):
    rule = await store.add_rule("faq", "{}", by="tune", created_at=1.0)
    await store.aclose()
    await store.open("model-2")
    assert await store.rules("faq") == await store.rules_in_force() == [rule]


async def test_a_rule_that_follows_another_than_the_newest_is_refused(store):
    await store.add_rule("faq", "{}", by="tune", created_at=1.0, after=0)
    with pytest.raises(RuleChanged, match="'faq' has version 1"):
        await store.add_rule("faq", "{}", by="tightening", created_at=2.0, after=0)
    assert (await store.add_rule("faq", "{}", by="tightening", created_at=2.0, after=1)).version == 2


async def test_rules_added_at_once_get_versions_of_their_own(store):
    added = await asyncio.gather(*(store.add_rule("faq", "{}", by="tune", created_at=1.0) for _ in range(10)))
    assert sorted(rule.version for rule in added) == list(range(1, 11))
