"""A provider's hint when to ask again, in every form that is in use."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.providers.retry_after import retry_after_s

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the RFC's own example


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": "Sun, 06 Nov 1994 08:50:37 GMT"}, 60),
        ({"retry-after": "Sunday, 06-Nov-94 08:50:37 GMT"}, 60),
        ({"retry-after": "Sun Nov  6 08:50:37 1994"}, 60),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:00 GMT"}, 0),  # a date that has passed: ask at once
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"retry-after-ms": "-1", "retry-after": "7"}, 7),
    ],
)
def test_a_hint_is_read_in_seconds(headers, seconds):
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize("said", ["", "soon", "-5", "nan", "inf", "-inf", "1e999", "32 Nov 1994", "Sun, 06 Nov 99999"])
def test_what_can_not_be_read_is_no_hint(said):
    assert retry_after_s({"retry-after": said}, NOW) is None


def test_no_header_is_no_hint():
    assert retry_after_s({}, NOW) is None


@pytest.fixture
def far_from_greenwich(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_machines_own_time_zone_is_irrelevant(far_from_greenwich):
    assert retry_after_s({"retry-after": "Sun Nov  6 08:50:37 1994"}, NOW) == 60


days = st.sampled_from(["Sun, ", "Sun ", ""])
dates = st.tuples(days, st.integers(0, 40), st.just("Nov"), st.integers(0, 99999), st.text(":0123456789", max_size=8))


@given(st.text() | dates.map(lambda parts: " ".join(map(str, parts))), st.text())
def test_no_header_breaks_the_reader(said, milliseconds):
    seconds = retry_after_s({"retry-after": said, "retry-after-ms": milliseconds}, NOW)
    assert seconds is None or seconds >= 0
