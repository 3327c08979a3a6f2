from __future__ import annotations

from itertools import cycle

import pytest
from servers import serve

from tests.benchmarks.asking import request
from tests.benchmarks.bare import make_app
from tests.benchmarks.load import WrongAnswer, drive


@pytest.fixture(scope="module")
def port():
    with serve(make_app({"known?": "{}"})) as url:
        yield int(url.rpartition(":")[2])


def test_every_connection_is_answered(port):
    timing = drive(port, cycle([request("known?")]), connections=8, seconds=0.05, mark=b"application/json")
    assert timing.per_s > 0


def test_an_answer_without_the_mark_fails_the_run(port):
    with pytest.raises(WrongAnswer, match="detail=exact"):
        drive(port, cycle([request("known?")]), connections=8, seconds=0.05, mark=b"detail=exact")
