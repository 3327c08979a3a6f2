from __future__ import annotations

from itertools import count

from cacheguard.telemetry.trace import Trace, Traces


def traces(*ids):
    clock = count().__next__
    kept = Traces(kept=3)
    for request_id in ids:
        kept.keep(Trace(clock, request_id=request_id))
    return kept


def test_only_the_newest_are_kept():
    kept = traces("a", "b", "c", "d")
    assert [trace.request_id for trace in kept.newest(10)] == ["d", "c", "b"]
    assert kept.find("a") is None


def test_of_one_id_said_twice_the_newest_is_found():
    kept = traces("a", "b", "a")
    assert kept.find("a") is next(kept.newest(1))


def test_a_trace_without_a_completion_is_not_found_under_an_empty_id():
    assert traces("a").find("") is None


def test_a_mistake_of_ours_is_an_error_like_any_other():
    trace = Trace(iter((0.0, 2.5)).__next__)
    trace.failed(RuntimeError("PROMPTMARK"))
    assert (trace.outcome, trace.seconds) == ("server_error", 2.5)
    assert "PROMPTMARK" not in str(trace.as_json())
