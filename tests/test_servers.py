"""The servers that tests run on are real and leave nothing behind."""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager

import httpx
import pytest
from servers import serve
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def hello(request):
    return PlainTextResponse("hello")


def test_a_served_app_answers_until_it_is_left():
    with serve(Starlette(routes=[Route("/", hello)])) as base:
        assert httpx.get(base).text == "hello"
    with pytest.raises(httpx.ConnectError):
        httpx.get(base)


def test_several_servers_run_beside_each_other():
    app = Starlette(routes=[Route("/", hello)])
    with serve(app) as one, serve(app) as two:
        assert one != two
        assert httpx.get(one).text == httpx.get(two).text == "hello"


def test_an_app_that_does_not_start_is_an_error():
    @asynccontextmanager
    async def broken(app):
        raise OSError("no disk")
        yield

    with pytest.raises(RuntimeError, match="did not start"), serve(Starlette(lifespan=broken)):
        pass


def test_a_test_that_fails_stops_its_server():
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError), serve(Starlette()):
        raise ZeroDivisionError
    assert threading.active_count() == threads
