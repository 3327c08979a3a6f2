"""What only the store in a file has to promise."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from cacheguard.errors import StoreError, StoreUnusable
from cacheguard.stores import sqlite as sqlite_store
from cacheguard.stores import sqlite_file, sqlite_rows, sqlite_schema, sqlite_served
from cacheguard.stores.base import Account, Filter, NewPhrasing, Served, SpendingKey
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.stores.sqlite_trim import Trim
from cacheguard.types import Answer, Origin, Provenance, new_answer_id

UNIT = np.eye(1, 8, dtype=np.float32)[0]
SPENT = SpendingKey(Account("tenant", "shop"), "month", 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "cache.db"


@pytest.fixture
async def store(path):
    store = SqliteStore(path)
    await store.open("model")
    yield store
    await store.aclose()


def written(key, text="yes", vector=UNIT):
    """An answer and its one phrasing."""
    answer = Answer(new_answer_id(), "scope", "tenant", "faq", text, Provenance("strong"), 1.0, 1.0)
    return answer, [NewPhrasing(key, key, Origin.MISS, 1.0, vector)]


async def keep(store, key, text="yes", vector=UNIT):
    return await store.keep(*written(key, text, vector))


async def text_of(store, key):
    known = await store.exact("scope", key)
    return known and known.answer.text


# The file


async def test_file_and_folder_are_private(store, path):
    await keep(store, "a")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {"cache.db", "cache.db-wal", "cache.db-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_what_was_kept_is_there_after_closing_and_opening(path):
    for n in range(3):
        store = SqliteStore(path)
        await store.open("model")
        await keep(store, str(n), text=str(n))
        await store.aclose()
    await store.open("model")
    assert [await text_of(store, str(n)) for n in range(3)] == ["0", "1", "2"]
    await store.aclose()
    assert [file.name for file in path.parent.iterdir()] == ["cache.db"]


@pytest.mark.parametrize("content", [b"not a database", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 4080])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match=r"cache\.db.*(store\.url|move it away)"):
        await SqliteStore(path).open("model")
    assert path.read_bytes() == content


async def test_another_programs_database_is_refused_and_left_as_it_is(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    content = path.read_bytes()
    with pytest.raises(StoreUnusable, match=r"another program's database.*store\.url"):
        await SqliteStore(path).open("model")
    assert path.read_bytes() == content


async def test_an_empty_file_becomes_a_store(path):
    path.parent.mkdir()
    path.touch()
    store = SqliteStore(path)
    await store.open("model")
    await keep(store, "a")
    await store.aclose()


async def test_a_folder_in_the_files_place_is_refused(path):
    path.mkdir(parents=True)
    with pytest.raises(StoreUnusable, match=r"cache\.db"):
        await SqliteStore(path).open("model")


async def test_a_file_in_the_folders_place_is_refused(path):
    path.parent.touch()
    with pytest.raises(StoreUnusable, match=r"cache\.db"):
        await SqliteStore(path).open("model")


async def test_what_another_process_writes_is_told_within_milliseconds(store, path):
    (id_,) = await keep(store, "a")
    store.news()
    other = SqliteStore(path)
    await other.open("model")
    await other.remove_phrasing(id_)
    await other.aclose()
    told = []
    while not told:  # a test that never hears of it hangs, and fails by its time-out
        told = store.news()
    assert [one.phrasing_id for one in told] == [id_]


# Its schema


async def test_a_newer_schema_is_refused_with_the_way_out(store, path):
    await store.aclose()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnusable, match=r"newer cacheguard \(schema 99, .*upgrade"):
        await store.open("model")


async def test_a_file_of_an_older_schema_is_brought_up_to_date(store, monkeypatch):
    await keep(store, "a")
    await store.aclose()
    step = ("ALTER TABLE labels ADD COLUMN weight REAL", "UPDATE answers SET text = 'migrated'")
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, step))
    await store.open("model")
    assert await text_of(store, "a") == "migrated"
    await store.aclose()
    await store.open("model")  # nothing is done twice


@pytest.mark.parametrize("version", range(1, len(sqlite_schema.MIGRATIONS)))
async def test_a_file_of_every_earlier_version_still_opens(path, monkeypatch, version):
    with monkeypatch.context() as earlier:
        earlier.setattr(sqlite_schema, "MIGRATIONS", sqlite_schema.MIGRATIONS[:version])
        with closing(sqlite_file.open_file(path, busy_s=1)) as db:
            db.execute("INSERT INTO models (fingerprint) VALUES ('model')")
            sqlite_rows.keep(*written("a"), 1, db)
    store = SqliteStore(path)
    await store.open("model")
    assert await text_of(store, "a") == "yes"
    assert await store.add_spending({SPENT: 0.5}) == {SPENT: 0.5}
    await store.aclose()


async def test_a_migration_that_fails_leaves_the_file_as_it_was(store, monkeypatch):
    await keep(store, "a")
    await store.aclose()
    step = ("UPDATE answers SET text = 'half'", "UPDATE missing SET x = 1")
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, step))
        with pytest.raises(StoreError, match="no such table"):
            await store.open("model")
    await store.open("model")
    assert await text_of(store, "a") == "yes"


async def open_and_keep(path, key):
    """What this file does when it is run as a program."""
    sys.stdin.read()  # until all of them are ready
    store = SqliteStore(path)
    await store.open("model")
    await keep(store, key)
    await store.aclose()


async def test_processes_that_make_the_file_at_once_all_succeed(path):
    children = [
        await asyncio.create_subprocess_exec(sys.executable, __file__, path, str(n), stdin=asyncio.subprocess.PIPE)
        for n in range(4)
    ]
    for child in children:
        child.stdin.close()
    assert [await child.wait() for child in children] == [0] * 4
    store = SqliteStore(path)
    await store.open("model")
    assert (await store.counts()).phrasings == 4
    await store.aclose()


# Several stores on one file


async def test_two_stores_on_one_file_see_each_others_writes(store, path):
    other = SqliteStore(path)
    await other.open("model")
    await asyncio.gather(*(keep(one, f"{n}") for n in range(40) for one in (store, other)))
    assert (await store.counts()).phrasings == 40
    assert await store.latest_change() == await other.latest_change() == 80
    await other.remove(Filter())
    assert await text_of(store, "1") is None
    await other.aclose()
    await keep(store, "still open")


async def test_two_stores_on_one_file_add_up_what_was_spent(store, path):
    other = SqliteStore(path)
    await other.open("model")
    await asyncio.gather(*(one.add_spending({SPENT: 0.5}) for _ in range(20) for one in (store, other)))
    assert await store.add_spending({SPENT: 0}) == await other.add_spending({SPENT: 0}) == {SPENT: 20}
    await other.aclose()


async def test_a_file_locked_for_long_is_reported_and_the_next_write_succeeds(path):
    store = SqliteStore(path, busy_s=0.05)
    await store.open("model")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnusable, match=r"cache\.db.*another process holds the file locked"):
            await asyncio.gather(*(keep(store, f"{n}") for n in range(100)))
        assert await text_of(store, "0") is None  # look-ups go on
    await keep(store, "0")
    assert await text_of(store, "0") == "yes"
    await store.aclose()


# The writer


@pytest.fixture
def transactions(monkeypatch):
    """A mark for each of the writer's thread."""
    ended, trim = [], Trim.__call__

    def counting(self, db):
        ended.append(1)
        trim(self, db)

    monkeypatch.setattr(Trim, "__call__", counting)
    return ended


async def test_writes_that_wait_share_a_transaction(path, transactions):
    store = SqliteStore(path)
    await store.open("model")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        keeps = [asyncio.ensure_future(keep(store, str(n))) for n in range(100)]
        await asyncio.sleep(0)  # each has put its write into the queue
    await asyncio.gather(*keeps)
    assert 0 < len(transactions) <= 2  # what the writer had taken before it met the lock, and all the rest
    await store.aclose()


async def test_a_write_that_fails_fails_alone(store):
    outcomes = await asyncio.gather(
        *(keep(store, "\ud800" if n % 10 == 0 else str(n)) for n in range(50)), return_exceptions=True
    )
    failed = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, StoreError)]
    assert failed == [0, 10, 20, 30, 40]
    assert (await store.counts()).phrasings == 45
    assert await text_of(store, "11") == "yes"


async def test_half_a_character_is_refused_in_words(store):
    with pytest.raises(StoreError, match="lone surrogate"):
        await store.exact("scope", "\ud800")


async def test_a_keep_that_fails_half_way_leaves_nothing(store):
    answer = Answer(new_answer_id(), "scope", "tenant", "faq", "x", Provenance("strong"), 1.0, 1.0)
    good = NewPhrasing("good", "good", Origin.MISS, 1.0, UNIT)
    with pytest.raises(StoreError):
        await store.keep(answer, [good, replace(good, key="\ud800")])
    assert await text_of(store, "good") is None
    assert (await store.counts()).answers == 0
    assert await store.latest_change() == 0


async def test_a_caller_that_gives_up_disturbs_no_other(store):
    given_up, kept = asyncio.ensure_future(keep(store, "a")), asyncio.ensure_future(keep(store, "b"))
    await asyncio.sleep(0)
    given_up.cancel()
    await kept
    await keep(store, "c")
    assert await text_of(store, "b") == await text_of(store, "c") == "yes"


async def test_closing_finishes_what_was_begun(path):
    store = SqliteStore(path)
    await store.open("model")
    begun = [asyncio.ensure_future(keep(store, str(n))) for n in range(100)]
    await asyncio.sleep(0)
    await store.aclose()
    assert sorted(await asyncio.gather(*begun)) == [[n] for n in range(1, 101)]


async def test_use_after_closing_is_refused_in_words(store):
    await store.aclose()
    await store.aclose()  # closing twice is no fault
    for use in (store.exact("scope", "a"), keep(store, "a"), store.vectors("scope"), store.served("x")):
        with pytest.raises(StoreError, match="is closed"):
            await use


async def test_only_the_newest_served_hits_are_remembered(path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "Trim", partial(Trim, served=10))
    store = SqliteStore(path)
    await store.open("model")
    hit = Served("", "scope", "a", "a", "ans", 1, 0.9, 1.0)
    for n in range(30):
        await store.add_served(replace(hit, completion_id=str(n)))
    await store.served("")
    await keep(store, "later")
    assert [n for n in range(30) if await store.served(str(n))] == list(range(20, 30))
    await store.aclose()


async def test_served_hits_are_dropped_rather_than_heaped_up_before_a_stalled_disk(path, monkeypatch):
    monkeypatch.setattr(sqlite_served, "_MOST", 5)
    store = SqliteStore(path)
    await store.open("model")
    hit = Served("", "scope", "a", "a", "ans", 1, 0.9, 1.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        for n in range(50):
            await store.add_served(replace(hit, completion_id=str(n)))
    kept = [n for n in range(50) if await store.served(str(n))]
    assert kept == sorted(kept)
    assert 5 <= len(kept) < 50
    await store.aclose()


async def test_a_served_hit_that_can_not_be_written_troubles_nobody(store):
    hit = Served("cmpl", "scope", "\ud800", "a", "ans", 1, 0.9, 1.0)
    await store.add_served(hit)
    await store.add_served(replace(hit, completion_id="another", key="a"))
    assert await store.served("cmpl") is None
    assert await store.served("another") is not None


async def test_another_file_is_another_store(store, tmp_path):
    other = SqliteStore(tmp_path / "other.db")
    await other.open("model-1")
    assert other.identity != store.identity
    await other.aclose()


if __name__ == "__main__":
    asyncio.run(open_and_keep(*sys.argv[1:]))
