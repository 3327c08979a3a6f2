from __future__ import annotations

import pytest
from programs import configure, run, serving
from upstreams import simulated


@pytest.fixture(scope="module")
def upstream():
    with simulated(("How do I freeze my card?", "Tap Freeze.")) as host:
        yield host


def test_the_answer_goes_to_stdout_and_how_it_came_about_to_stderr(tmp_path, upstream):
    configure(tmp_path, upstream.base_url)
    asked = run(tmp_path, "ask", "How do I freeze my card?")
    assert (asked.returncode, asked.stdout) == (0, "Tap Freeze.\n")
    assert "Cache-Status  cacheguard; fwd=miss; fwd-status=200; stored" in asked.stderr
    assert "attempt       strong (simulated): answered" in asked.stderr
    near = run(tmp_path, "ask", "How can I freeze my card?")
    assert near.stdout == "Tap Freeze.\n"
    assert "detail=semantic" in near.stderr
    assert "neighbours" in near.stderr
    assert "similarity    0." in near.stderr


def test_it_reads_and_writes_beside_a_running_service(tmp_path, upstream):
    configure(tmp_path, upstream.base_url)
    with serving(tmp_path) as service:
        run(tmp_path, "ask", "How do I freeze my card?")
        assert "detail=exact" in service.status("How do I freeze my card?")
        service.ask("And my account?")
        assert "detail=exact" in run(tmp_path, "ask", "And my account?").stderr


def test_one_tenant_does_not_get_what_another_asked(tmp_path, upstream):
    configure(tmp_path, upstream.base_url)
    run(tmp_path, "ask", "How do I freeze my card?", "--tenant", "acme")
    assert "fwd=miss" in run(tmp_path, "ask", "How do I freeze my card?", "--tenant", "other").stderr


def test_an_unknown_route_is_a_fault_of_usage(tmp_path, upstream):
    configure(tmp_path, upstream.base_url)
    asked = run(tmp_path, "ask", "Hello?", "--route", "nope")
    assert asked.returncode == 2
    assert asked.stderr.endswith("cacheguard: there is no route 'nope'; known: default\n")


def test_when_no_tier_answers_it_says_which_were_asked(tmp_path):
    configure(tmp_path, "http://127.0.0.1:9/v1")
    asked = run(tmp_path, "ask", "Hello?")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "cacheguard: no tier could answer (strong: transport" in asked.stderr
    assert "attempt       strong (simulated): transport" in asked.stderr
    assert "Cache-Status  cacheguard; fwd=miss" in asked.stderr
