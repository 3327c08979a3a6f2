"""The service as people start and stop it: a process, a port, signals, an exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from programs import children, configure, run, serving
from servers import serve
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from upstreams import simulated

from cacheguard.stores.base import NewPhrasing
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.types import Answer, Origin, Provenance, new_answer_id

NOTHING_STORED = "cacheguard; fwd=miss; fwd-status=200"
STORED = f"{NOTHING_STORED}; stored"


@pytest.fixture
def upstream():
    with simulated(("How do I freeze my card?", "Tap Freeze.")) as host:
        yield host


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_answers_and_ends_with_0(tmp_path, upstream, number):
    configure(tmp_path, upstream.base_url)
    with serving(tmp_path) as service:
        answer = service.ask("How do I freeze my card?")
        assert answer.json()["choices"][0]["message"]["content"] == "Tap Freeze."
        assert service.stop(number) == 0
        assert "Traceback" not in service.log


def test_it_says_what_it_found(tmp_path):
    with serving(tmp_path, "--port", "0") as service:
        said = service.log
    assert "settings  embedded defaults" in said
    assert "sqlite:///./.cacheguard/cache.db (0 answers, 0 phrasings)" in said
    assert "all-MiniLM-L6-v2 int8, 384 dimensions" in said
    assert "tier      ollama: llama3.2 at http://127.0.0.1:11434/v1" in said
    assert "tier      sorry: a template" in said


def test_a_local_provider_that_does_not_listen_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    configure(tmp_path, nowhere)
    with serving(tmp_path) as service:
        assert f"strong: simulated at {nowhere}, where nothing listens" in service.log


def test_the_log_is_json_without_questions_and_keys(tmp_path, upstream):
    provider = {"kind": "openai", "base_url": upstream.base_url, "api_key": "sk-provider-secret"}
    auth = {"keys": [{"key": "sk-client-secret"}]}
    configure(tmp_path, upstream.base_url, providers={"simulated": provider}, auth=auth)
    with serving(tmp_path, "--log-level", "debug") as service:
        service.http.headers["Authorization"] = "Bearer sk-client-secret"
        body = {"model": "default", "messages": [{"role": "user", "content": "How do I freeze my card?"}]}
        assert service.http.post("/v1/chat/completions", json=body).is_success
        assert service.stop() == 0
        events = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]
        assert [event["outcome"] for event in events if event["event"] == "answer"] == ["miss"]
        assert "freeze" not in service.log
        assert "secret" not in service.log


def test_the_serving_process_holds_no_torch(tmp_path, upstream):
    configure(tmp_path, upstream.base_url)
    with serving(tmp_path) as service:
        service.ask("How do I freeze my card?")
        assert "torch" not in Path(f"/proc/{service.process.pid}/maps").read_text()


def test_a_second_start_finds_what_the_first_kept(tmp_path, upstream):
    configure(tmp_path, upstream.base_url)
    with serving(tmp_path) as service:
        assert service.status("How do I freeze my card?") == STORED
        service.stop()
    with serving(tmp_path) as service:
        assert "(1 answers, 1 phrasings)" in service.log
        assert "hit; ttl=" in service.status("How do I freeze my card?")


def test_a_port_in_use_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, "serve", "--port", port)
    assert done.returncode == 1
    assert done.stderr == (
        f"cacheguard: port {port} on 127.0.0.1 is in use: stop what listens there, or choose another by --port\n"
    )


def test_an_unknown_key_is_one_line_that_names_it(tmp_path):
    (tmp_path / "cacheguard.yaml").write_text("server:\n  prot: 1\n")
    done = run(tmp_path, "serve")
    assert done.returncode == 2
    assert done.stderr.startswith("cacheguard: cacheguard.yaml, line 2: server.prot is unknown; did you mean 'port'?")


def test_an_unknown_log_level_is_one_line(tmp_path):
    done = run(tmp_path, "serve", "--log-level", "chatty")
    assert done.returncode == 2
    assert "there is no log level 'chatty'" in done.stderr


def test_a_missing_model_is_one_line(tmp_path, upstream):
    configure(tmp_path, upstream.base_url, embedding={"model": "./nowhere"})
    done = run(tmp_path, "serve")
    assert done.returncode == 1
    assert done.stderr == "cacheguard: there is no model folder './nowhere': correct the path, or use 'bundled'\n"


def test_a_folder_that_can_not_be_written_is_one_line(tmp_path, upstream):
    mount = 'mount -t tmpfs -o ro tmpfs "$0" && exec "$@"'
    apart = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    (tmp_path / "shelf").mkdir()
    apart += ["sh", "-c", mount, str(tmp_path / "shelf")]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not mount a read-only disk: neither root nor user namespaces")
    configure(tmp_path, upstream.base_url, store={"url": f"sqlite:///{tmp_path}/shelf/data/cache.db"})
    done = run(tmp_path, "serve", before=apart)
    assert done.returncode == 1
    assert done.stderr.startswith("cacheguard: can't")
    assert done.stderr.count("\n") == 1
    assert "store.url" in done.stderr


async def test_vectors_of_another_model_are_one_line(tmp_path, upstream):
    configure(tmp_path, upstream.base_url, store={"url": f"sqlite:///{tmp_path}/cache.db"})
    store = SqliteStore(tmp_path / "cache.db")
    await store.open("another-model")
    answer = Answer(new_answer_id(), "scope", "default", "default", "text", Provenance("strong"), 1.0, 1.0)
    await store.keep(answer, [NewPhrasing("key", "text", Origin.MISS, 1.0, np.eye(1, 384, dtype=np.float32)[0])])
    await store.aclose()
    done = run(tmp_path, "serve")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "re-embed" in done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_start_that_fails_behind_the_port_ends_the_program(tmp_path, upstream, workers):
    """The model's host gives vectors when it is looked at first, and turns the key down from then on."""
    seen = []

    async def embeddings(request):
        seen.append(await request.json())
        if len(seen) > 1:
            return Response(status_code=401)
        return JSONResponse({"data": [{"index": 0, "embedding": [1.0, 0.0]}]})

    with serve(Starlette(routes=[Route("/v1/embeddings", embeddings, methods=["POST"])])) as url:
        configure(tmp_path, upstream.base_url, embedding={"model": "openai:small", "base_url": f"{url}/v1"})
        done = run(tmp_path, "serve", "--workers", workers)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("cacheguard: ")]
    assert "401" in said[0]


def test_a_begun_stream_ends_whole_and_is_kept_after_ctrl_c(tmp_path, upstream):
    configure(tmp_path, upstream.base_url)
    upstream.play({"between_tokens_ms": 100, "text": "one two three four five six seven eight nine ten"})
    body = {"model": "default", "messages": [{"role": "user", "content": "Count."}], "stream": True}
    with serving(tmp_path) as service, httpx.Client(base_url=service.url, timeout=60) as http:
        with http.stream("POST", "/v1/chat/completions", json=body) as stream:
            lines = stream.iter_lines()
            assert "one" in next(line for line in lines if "one" in line)
            service.process.send_signal(signal.SIGINT)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert service.process.wait(60) == 0
        assert "Traceback" not in service.log
    with serving(tmp_path) as service:
        assert "hit;" in service.status("Count.")


def test_a_second_ctrl_c_does_not_wait(tmp_path, upstream):
    configure(tmp_path, upstream.base_url, server={"port": 0, "shutdown_grace_s": 3600})
    upstream.play({"connection": "hang"})
    with serving(tmp_path) as service:
        asking = threading.Thread(target=ask_in_vain, args=(service,))
        asking.start()
        while not upstream.calls["in_flight"]:
            pass
        service.process.send_signal(signal.SIGINT)
        while "Waiting for connections to close" not in service.log:
            pass
        assert service.stop() == 130
        asking.join()
        assert "Traceback" not in service.log


def ask_in_vain(service):
    with suppress(httpx.TransportError, httpx.HTTPStatusError):
        service.ask("Who hears me?")


def test_what_one_worker_keeps_the_others_serve(tmp_path, upstream):
    configure(tmp_path, upstream.base_url)
    with serving(tmp_path, "--workers", "2") as service:
        service.wait_for(lambda: started(service) == 2)
        one, other = children(service.process.pid)
        with only(one, other):
            assert service.status("How do I freeze my card?") == STORED
        with only(other, one):
            assert "detail=exact" in service.status("How do I freeze my card?")
            upstream.play({"status": 400})  # from here on, only the cache answers
            service.wait_for(lambda: is_semantic_hit(service, "How can I freeze my card?"))
        assert service.stop() == 0
        assert not children(service.process.pid)
        assert "Traceback" not in service.log


class only:  # noqa: N801 - reads as a word
    """Only the first of two workers takes connections meanwhile."""

    def __init__(self, _, stopped):
        self._stopped = stopped

    def __enter__(self):
        os.kill(self._stopped, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self._stopped, signal.SIGCONT)


def is_semantic_hit(service, text):
    try:
        return "detail=semantic" in service.status(text)
    except httpx.HTTPStatusError:
        return False


def test_a_killed_worker_comes_back(tmp_path, upstream):
    configure(tmp_path, upstream.base_url)
    with serving(tmp_path, "--workers", "2") as service:
        service.wait_for(lambda: started(service) == 2)
        before = children(service.process.pid)
        os.kill(before[0], signal.SIGKILL)
        service.wait_for(lambda: started(service) == 3)
        os.kill(before[1], signal.SIGSTOP)
        assert service.status("How do I freeze my card?") == STORED
        os.kill(before[1], signal.SIGCONT)
        assert service.stop() == 0


def started(service):
    """How many workers have got as far as answering."""
    return service.log.count("Application startup complete")


def test_killed_under_load_it_has_every_answer_that_it_called_stored(tmp_path, upstream):
    configure(tmp_path, upstream.base_url, routes={"default": {"tiers": ["strong"], "cache": {"decision": 1.0}}})
    stored = []
    with serving(tmp_path) as service:
        asking = [threading.Thread(target=ask_until_killed, args=(service, n, stored)) for n in range(4)]
        for thread in asking:
            thread.start()
        while len(stored) < 60:
            pass
        service.stop(signal.SIGKILL)
        for thread in asking:
            thread.join()
    upstream.play({"status": 400})
    with serving(tmp_path) as service:
        assert {text: "detail=exact" in service.status(text) for text in stored} == dict.fromkeys(stored, True)


def ask_until_killed(service, thread, stored):
    with suppress(httpx.TransportError), httpx.Client(base_url=service.url, timeout=60) as http:
        for n in range(10_000):
            text = f"Question {n} of thread {thread}?"
            body = {"model": "default", "messages": [{"role": "user", "content": text}]}
            if http.post("/v1/chat/completions", json=body).headers["cache-status"] == STORED:
                stored.append(text)
