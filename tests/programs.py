"""The program itself, in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

# Longer than a start on a busy machine; nothing waits for it when all is well.
PATIENCE_S = 120
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "CACHEGUARD_CONFIG", "CACHEGUARD_LOG")
PROGRAM = (sys.executable, "-m", "cacheguard")


def environment(**extra):
    return {name: value for name, value in os.environ.items() if name not in KEYS} | extra


def run(folder, *arguments, before=(), **extra):
    """The program to its end. extra: of its environment."""
    return subprocess.run(
        [*before, *PROGRAM, *map(str, arguments)],
        cwd=folder,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def configure(folder, base_url, **sections):
    """A settings file for one provider, whose only tier is `strong`, and a semantic hit from 0.8."""
    settings = {
        "server": {"port": 0},
        "providers": {"simulated": {"kind": "openai", "base_url": base_url}},
        "tiers": {"strong": {"provider": "simulated", "model": "simulated"}},
        "routes": {"default": {"tiers": ["strong"], "cache": {"decision": 0.8}}},
    }
    path = Path(folder) / "cacheguard.yaml"
    path.write_text(yaml.safe_dump(settings | sections), encoding="utf-8")
    return path


class Running:
    """A service in a process of its own."""

    def __init__(self, process, log):
        self.process = process
        self._log = log
        self.url = self.wait_for(self._address)
        self.wait_for(lambda: httpx.get(f"{self.url}/readyz", timeout=PATIENCE_S).is_success)
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_S)

    @property
    def log(self):
        return self._log.read_text(encoding="utf-8")

    def ask(self, text, **more):
        """On a connection of its own, so that any worker may take it."""
        body = {"model": "default", "messages": [{"role": "user", "content": text}], **more}
        response = httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=PATIENCE_S)
        response.raise_for_status()
        return response

    def status(self, text):
        """Its Cache-Status."""
        return self.ask(text).headers["cache-status"]

    def stop(self, number=signal.SIGINT):
        """The exit code after this signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def _address(self):
        lines = [line.split() for line in self.log.splitlines()]
        return next((words[1].removesuffix("/v1") for words in lines if words[:1] == ["address"]), None)

    def wait_for(self, look):
        """What `look` gives once it gives something; AssertionError with the log when the process ends first."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            if found := look():
                return found
            time.sleep(0.02)
        raise AssertionError(self.log)


@contextmanager
def serving(folder, *arguments, **extra):
    """`cacheguard serve` in this folder, killed at the end unless it has ended."""
    log = Path(folder) / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*PROGRAM, "serve", *arguments], cwd=folder, env=environment(**extra), stdout=output, stderr=output
        )
    try:
        service = Running(process, log)
        with service.http:
            yield service
    finally:
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()


def children(pid):
    """Its child processes that run the program, oldest first."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except FileNotFoundError:
        return []
