from __future__ import annotations

import signal
import socket
import subprocess

import httpx
from programs import PATIENCE_S, PROGRAM, environment, run


def test_it_answers_from_its_files_by_its_script_and_ends_with_0(tmp_path):
    (tmp_path / "known.jsonl").write_text('{"prompt": "Why?", "answer": "Because."}\n')
    (tmp_path / "more.jsonl").write_text('{"prompt": "Why not?", "answer": "Therefore."}\n')
    (tmp_path / "script.yaml").write_text("rules: [{when: {prompt: forbidden}, then: {status: 429}}]\n")
    arguments = ["--port", "0", "--answers", "known.jsonl", "--answers", "more.jsonl", "--script", "script.yaml"]
    command = [*PROGRAM, "simulate", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        said = process.stderr.readline()
        assert "2 known answers" in said
        url = said.split()[3].rstrip(",")
        with httpx.Client(base_url=f"{url}/", timeout=PATIENCE_S) as http:
            assert content(ask(http, "Why?")) == "Because."
            assert content(ask(http, "Why not?")) == "Therefore."
            assert ask(http, "forbidden").status_code == 429
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        assert "Traceback" not in process.stderr.read()


def ask(http, text):
    return http.post("chat/completions", json={"model": "m", "messages": [{"role": "user", "content": text}]})


def content(response):
    return response.json()["choices"][0]["message"]["content"]


def test_a_port_in_use_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(tmp_path, "simulate", "--port", taken.getsockname()[1])
    assert done.returncode == 1
    assert "is in use: stop what listens there" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_script_and_wrong_answers_are_named(tmp_path):
    (tmp_path / "script.yaml").write_text("ruels: []\n")
    (tmp_path / "answers.jsonl").write_text("no JSON\n")
    for arguments in (["--script", "script.yaml"], ["--answers", "answers.jsonl"]):
        done = run(tmp_path, "simulate", *arguments)
        assert done.returncode == 2
        assert arguments[1] in done.stderr
        assert done.stderr.count("\n") == 1
