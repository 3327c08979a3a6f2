"""What tests share: the public question sets, and nothing that fakes a part of the service."""

from __future__ import annotations

import gzip
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
import redis_binary
import structlog
from redis_servers import RedisCluster, RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure():
    """Programs under test can be interrupted even where the tests run in the background, which ignores Ctrl-C.

    Events are written to where sys.stderr leads, not printed: Python dies of a print in one thread, a server's, while
    another one, pytest's, replaces sys.stdout.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as there are tests
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(stderr))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public question sets; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("CACHEGUARD_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no public question sets at {folder}: set CACHEGUARD_DATA")
    return folder


@pytest.fixture(scope="session")
def questions(data) -> list[str]:
    """5,169 real questions about vaccines, in the order of their log."""
    with gzip.open(data / "streams" / "vira.warm.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["prompt"] for line in lines]


@pytest.fixture(scope="session")
def redis_program() -> list[str]:
    """How a Redis 8 server is started; a test that asks for it is skipped where none is to be had."""
    try:
        return redis_binary.find()
    except redis_binary.NoRedis as reason:
        pytest.skip(f"no Redis: {reason}")


@pytest.fixture(scope="session")
def redis_shared(request, tmp_path_factory) -> Iterator[str]:
    """The server of all tests that neither stop it nor set it up: its URL."""
    if named := os.environ.get("CACHEGUARD_TEST_REDIS"):
        yield named
    else:
        program = request.getfixturevalue("redis_program")
        with RedisServer(program, tmp_path_factory.mktemp("redis")) as server:
            yield server.url


@pytest.fixture
def redis_url(redis_shared) -> Iterator[str]:
    """An empty database."""
    with redis.Redis.from_url(redis_shared) as client:
        assert not client.dbsize(), "CACHEGUARD_TEST_REDIS holds keys: name an empty database, tests empty it"
        yield redis_shared
        client.flushdb()


@pytest.fixture
def redis_server(redis_program, tmp_path) -> Iterator[RedisServer]:
    """A server of the test's own, to stop, kill and start again; it keeps what was written on disk."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(redis_program, folder, "--appendonly", "yes", "--save", "") as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster_shared(redis_program, tmp_path_factory) -> Iterator[RedisCluster]:
    with RedisCluster(redis_program, tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def redis_cluster(redis_cluster_shared) -> Iterator[RedisCluster]:
    """Three masters, empty, to use as they are; a test that stops one starts its own RedisCluster."""
    yield redis_cluster_shared
    redis_cluster_shared.clear()
