"""No secret and no word of a prompt or an answer appears in a log line, a metric, a trace or an error."""

from __future__ import annotations

import logging

import pytest
import structlog
from services import CHAT, PLACES, running

PROMPT, SECOND, ANSWER, SYSTEM = "PROMPTMARK", "SECONDMARK", "ANSWERMARK", "SYSTEMMARK"
CLIENT_KEY, HOST_KEY, NOTE, USER = "CLIENTKEYMARK", "host-key-7f3a", "NOTEMARK", "USERMARK"
MARKS = (PROMPT, SECOND, ANSWER, SYSTEM, CLIENT_KEY, HOST_KEY, NOTE, USER)
SETTINGS = (
    PLACES
    + f"""
auth: {{keys: [{{key: {CLIENT_KEY}, tenant: ann, admin: true}}]}}
tiers: {{strong: {{provider: host, model: strong-model}}}}
routes:
  default: {{tiers: [strong], cache: {{ttl_s: 100, stale_while_revalidate_s: 50, stale_if_error_s: 1000}}}}
"""
)
MISBEHAVIOURS = [
    {"status": 500, "message": f"cannot answer {PROMPT}"},
    {"status": 401, "message": f"wrong key {HOST_KEY}"},
    {"status": 429, "message": f"too many of {PROMPT}", "retry_after_s": 100},
    {"connection": "reset"},
    {"garbage": "html"},
    {"garbage": "other_json"},
    {"text": ""},
    {"refusal": f"I can't help with {PROMPT}."},
    {"cut_after_tokens": 2},
    {"error_after_tokens": 2, "message": f"lost {ANSWER}"},
    {"truncate_after_tokens": 2},
]


@pytest.fixture
def logged(caplog):
    """Everything that is logged, by either way."""
    caplog.set_level(logging.DEBUG)
    lines = []

    def keep(logger, name, event):
        lines.append(repr(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[structlog.processors.format_exc_info, keep], cache_logger_on_first_use=False)
    yield lambda: "\n".join([*lines, caplog.text])
    structlog.configure(**before)


def test_a_mixed_run_leaves_no_trace_of_secrets_or_prompts(tmp_path, logged, monkeypatch):
    with running(tmp_path, SETTINGS) as service:
        asker, refusals = service.asker(key=CLIENT_KEY), []
        prompt = f"How do I raise the limit of {PROMPT}?"

        def ask(text=prompt, **rest):
            messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
            response = asker.ask(messages, user=USER, **rest)
            if response.status_code != 200:
                refusals.append(response.text)
            return response

        service.provider.play({"text": f"In the app: {ANSWER}"})
        for stream in (False, True):
            ask(stream=stream)
            ask(f"How can I raise the limit of {PROMPT}?", stream=stream)
            ask(stream=stream, tools=[{"type": "function", "function": {"name": PROMPT}}])
        asker.feedback(ask(), "wrong", note=NOTE)
        ask(cache_control="only-if-cached")
        ask(f"{SECOND} " * 1000)
        ask(f"\x00{SECOND}")
        ask()
        service.clock.passes(120)
        ask()
        for number, then in enumerate(MISBEHAVIOURS):
            service.provider.play(then)
            service.recover()
            for stream in (False, True):
                ask(f"{SECOND} {number} {stream}", stream=stream)
        monkeypatch.setattr(service.service.store, "exact", broken)
        ask(SECOND)
        monkeypatch.undo()
        bad = (f'{{"{PROMPT}": ', f'{{"model": 7, "messages": "{PROMPT}"}}', f'"{PROMPT}"')
        refusals += [asker.post(CHAT, content=body).text for body in bad]
        refusals.append(service.asker(key=f"{CLIENT_KEY}2").ask(PROMPT).text)
        metrics = asker.get("/metrics").text
        traces = asker.get("/admin/api/traces?limit=1000").text
    log = logged()
    assert "cache broken" in log
    assert "outcome" in log
    assert len(refusals) > 10
    assert "passed_over" in traces
    for shown in (log, metrics, traces, "\n".join(refusals)):
        assert [mark for mark in MARKS if mark in shown] == []


async def broken(scope, key):
    raise RuntimeError(f"no room for {key}")
