"""A cache that breaks is never an error to a client whose tiers are up, and mends itself when it can."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing, contextmanager

import pytest
from services import LIMIT, LIMIT_AGAIN, PARCEL, cache_status, ended, running, text_of

from cacheguard.errors import StoreUnusable
from cacheguard.wiring import service as wiring
from embeddings.base import EmbeddingError
from index.base import IndexFailed

STORED, EXACT = "fwd=miss; fwd-status=200; stored", "hit; ttl=86400; detail=exact"
BROKEN = "fwd=miss; fwd-status=200; detail=cache-broken"
STORED_UNSEEN = "fwd=miss; fwd-status=200; stored; detail=cache-broken"


class Fragile:
    """A part of the cache that works until it is broken: then each of its calls raises `error`."""

    def __init__(self, part):
        self._part = part
        self.error = None

    def __getattr__(self, name):
        if self.error is not None and name not in {"spec", "aclose"}:
            raise self.error
        return getattr(self._part, name)

    @contextmanager
    def broken(self, error):
        self.error = error
        try:
            yield
        finally:
            self.error = None


@pytest.fixture
def parts(monkeypatch):
    """The parts of services that start from now on, all of them real, by name."""
    parts = {}

    async def model(settings, opening=wiring.open_model):
        parts["embedder"] = Fragile(await opening(settings))
        return parts["embedder"]

    async def store(*args, opening=wiring.open_store):
        parts["store"] = Fragile(await opening(*args))
        return parts["store"]

    def index(*args, opening=wiring.open_index):
        parts["index"] = Fragile(opening(*args))
        return parts["index"]

    monkeypatch.setattr(wiring, "open_model", model)
    monkeypatch.setattr(wiring, "open_store", store)
    monkeypatch.setattr(wiring, "open_index", index)
    return parts


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("store", StoreUnusable("no disk")),
        ("store", sqlite3.OperationalError("disk I/O error")),
        ("index", IndexFailed("torn")),
        ("index", MemoryError()),
        ("embedder", EmbeddingError("no model")),
        ("embedder", RuntimeError("no threads")),
    ],
    ids=str,
)
def test_while_a_part_is_broken_the_tiers_answer_and_all_is_well_afterwards(tmp_path, parts, name, error, stream):
    with running(tmp_path) as service:
        asker = service.asker()
        assert [asker.status(), asker.status()] == [STORED, EXACT]  # by the second, the first is in the index too
        with parts[name].broken(error):
            while_broken = asker.ask(PARCEL, stream=stream)
            known = asker.status(LIMIT)
        is_stored = name == "index" and not stream  # what the index misses, it follows when it is well again
        assert cache_status(while_broken) == (STORED_UNSEEN if is_stored else BROKEN)
        assert not stream or ended(while_broken)
        assert service.metric("cacheguard_cache_broken_total", step="recall") > 0
        assert known == (BROKEN if name == "store" else EXACT)
        assert [asker.status(prompt) for prompt in ("And then?", "And then?", LIMIT)] == [STORED, EXACT, EXACT]
        assert asker.status(LIMIT_AGAIN) == "hit; ttl=86400; detail=semantic"


async def test_a_hundred_at_once_share_one_call_while_the_store_is_broken(tmp_path, parts):
    with running(tmp_path) as service:
        asker = service.asker()
        with parts["store"].broken(StoreUnusable("no disk")), service.gate.shut():
            asking = asyncio.create_task(asker.ask_all(*[asker.body()] * 100))
            await service.waits_for(lambda: service.waiting == 100)
            service.gate.open()
            responses = await asking
        assert {response.status_code for response in responses} == {200}
        assert service.provider.calls["total"] == 1


def test_when_cache_and_tiers_are_down_the_client_is_told_to_come_back(tmp_path, parts):
    with running(tmp_path) as service:
        asker = service.asker()
        service.provider.play({"status": 401})
        with parts["store"].broken(StoreUnusable("no disk")):
            failed = asker.ask()
        assert failed.status_code == 503
        assert "retry-after" in failed.headers


def test_feedback_that_can_not_be_kept_is_to_be_sent_again(tmp_path, parts):
    with running(tmp_path) as service:
        asker = service.asker()
        answer = asker.ask()
        with parts["store"].broken(StoreUnusable("no disk at /srv/cache.db")):
            refused = asker.feedback(answer, "wrong")
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        assert "/srv" not in refused.text
        assert asker.feedback(answer, "wrong").status_code == 202


def test_a_locked_file_delays_no_answer_for_long(tmp_path):
    with running(tmp_path) as service:
        asker = service.asker()
        asker.ask(LIMIT)
        with closing(sqlite3.connect(tmp_path / "cache.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert asker.status(PARCEL) == "fwd=miss; fwd-status=200"
            assert asker.status(LIMIT) == EXACT
            assert asker.status(LIMIT_AGAIN) == "hit; ttl=86400; detail=semantic"
            assert service.metric("cacheguard_cache_broken_total", step="keep") == 1
        assert asker.status("And then?") == STORED


def test_a_full_file_keeps_what_it_has_and_takes_more_when_there_is_room(tmp_path):
    with running(tmp_path) as service:
        asker = service.asker()
        asker.ask(LIMIT)
        writer = service.service.store._opened.writer._db
        writer.execute("PRAGMA max_page_count = 1")  # as many as there are: SQLite's own way to be full
        service.provider.play({"text": "long " * 100_000})
        assert asker.status(PARCEL) == "fwd=miss; fwd-status=200"
        assert asker.status(LIMIT) == EXACT
        writer.execute("PRAGMA max_page_count = 1000000")
        assert [asker.status(PARCEL) for _ in range(2)] == [STORED, EXACT]


def test_a_file_that_is_overwritten_is_no_error_and_putting_it_back_mends_it(tmp_path):
    with running(tmp_path) as service:
        asker = service.asker()
        said = text_of(asker.ask(LIMIT))
        files = [tmp_path / "cache.db", tmp_path / "cache.db-wal"]
        good = [file.read_bytes() for file in files]
        for file, content in zip(files, good, strict=True):
            overwrite(file, os.urandom(len(content)))
        for prompt in (LIMIT, LIMIT_AGAIN, PARCEL):
            assert asker.ask(prompt).status_code == asker.ask(prompt, stream=True).status_code == 200
        for file, content in zip(files, good, strict=True):
            overwrite(file, content)
        again = asker.ask(LIMIT)
        assert (text_of(again), cache_status(again)) == (said, EXACT)


def test_a_file_that_is_deleted_is_no_error(tmp_path):
    with running(tmp_path) as service:
        asker = service.asker()
        asker.ask(LIMIT)
        for file in tmp_path.glob("cache.db*"):
            file.unlink()
        for prompt in (LIMIT, LIMIT_AGAIN, PARCEL):
            assert asker.ask(prompt).status_code == asker.ask(prompt, stream=True).status_code == 200


def overwrite(file, content):
    """In place: whoever has the file open sees it."""
    with file.open("r+b") as opened:
        opened.write(content)
