"""A thousand streams at once through one worker: does a word get through as soon as it comes, and what does one cost?

The provider says when it sent each word; what a client waits between two words beyond what lay between their sending is
what the service added. The clients and the provider share a core, the service has the other. All questions are new, and
every stream must come to its end.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import uvloop

from tests.benchmarks.asking import ROUTE
from tests.benchmarks.load import WrongAnswer
from tests.benchmarks.misses import NewQuestions, Place
from tests.benchmarks.processes import PROGRAM, choose_cores, free_port, pinned, server, write
from tests.benchmarks.talking import SENT

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = 1000
PACE_S = 0.5
WORDS = 60
# One is begun so often: a thousand at the same moment would be a test of how they are embedded.
EVERY_S = 0.01
_WORD = re.compile(SENT + rb"(\d+) ")
_END = b"data: [DONE]"


class Heard(NamedTuple):
    """One client's words: when each was sent and when it came, in ns of the same clock."""

    sent: list[int]
    came: list[int]


class Listener(asyncio.Protocol):
    def __init__(self, request: bytes) -> None:
        self._request = request
        self._rest = b""
        self.heard = Heard([], [])
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        data = self._rest + data
        last = 0
        for word in _WORD.finditer(data):
            self.heard.sent.append(int(word[1]))
            self.heard.came.append(now)
            last = word.end()
        if _END in data:
            self.ended.set_result(None)
            self._transport.close()
        self._rest = data[last:][-100:]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(WrongAnswer(f"a stream broke off after {len(self.heard.came)} words: {exc}, {self._rest!r}"))


async def listen(port: int, requests, streams, every_s, pid) -> tuple[list[Heard], int, int]:
    loop = asyncio.get_running_loop()
    before = resident(pid)
    listeners = []
    begun = loop.time()
    for number in range(streams):
        await asyncio.sleep(begun + number * every_s - loop.time())
        listeners.append((await loop.create_connection(lambda: Listener(next(requests)), "127.0.0.1", port))[1])
    while not all(one.heard.came for one in listeners):
        await asyncio.sleep(0.1)
    all_from = time.monotonic_ns()
    print("all speak after", loop.time() - begun)
    await asyncio.sleep(1)
    under_way = resident(pid)
    await asyncio.gather(*[one.ended for one in listeners])
    print("ended after", loop.time() - begun)
    return [one.heard for one in listeners], all_from, under_way - before


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise ValueError

def main():
    streams, pace, words, every = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    spy = len(sys.argv) > 5
    cores = choose_cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cacheguard-bench-")))
        stack.enter_context(pinned(cores.asking))
        provider, port = free_port(), free_port()
        stack.enter_context(server([sys.executable, "-m", "tests.benchmarks.talking", str(provider), str(words), str(pace)], provider, folder, cores.asking, "/"))
        settings = {"server": {"port": port, "max_in_flight": 4096},
            "providers": {"slow": {"kind": "openai", "base_url": f"http://127.0.0.1:{provider}/v1"}},
            "tiers": {"only": {"provider": "slow", "model": "bench", "timeout_s": 300}},
            "routes": {ROUTE: {"tiers": ["only"], "deadline_s": 300, "cache": {"decision": 1}}}}
        config = write(folder / "cacheguard.yaml", settings)
        child = stack.enter_context(server([PROGRAM, "serve", "--config", config], port, folder, cores.measured))
        questions = (r.replace(b'"messages"', b'"stream": true, "messages"') for r in NewQuestions({}))
        import json as j
        def fix(r):
            head, _, body = r.partition(b"\r\n\r\n")
            return re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head) + b"\r\n\r\n" + body
        reqs = (fix(q) for q in questions)
        if spy:
            import subprocess
            subprocess.Popen(["/work/main/.venv/bin/py-spy","record","-r","300","-d","10","-f","raw","-o","/tmp/prof/stream.raw","-p",str(child.pid),"--nonblocking"],stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL) if False else None
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as r:
            r.run(listen(port, reqs, 20, 0.02, child.pid))  # warm
            cpu0 = os.popen(f"cat /proc/{child.pid}/stat").read().split(); t0=time.time()
            if spy:
                subprocess.Popen(["bash","-c","sleep 15; exec \"$@\"","x","/work/main/.venv/bin/py-spy","record","-r","400","-d","12","-f","raw","-o","/tmp/prof/stream.raw","-p",str(child.pid),"--nonblocking"],stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL)
            heard, since, memory = r.run(listen(port, reqs, streams, every, child.pid))
            cpu1 = os.popen(f"cat /proc/{child.pid}/stat").read().split()
            print("service cpu s", (int(cpu1[13])+int(cpu1[14])-int(cpu0[13])-int(cpu0[14]))/100, "of", time.time()-t0)
        print("rss after", resident(child.pid)/1e6)
        between, delay, ramp = [], [], []
        first_end = min(h.came[-1] for h in heard)
        for h in heard:
            s, c = np.array(h.sent), np.array(h.came)
            extra = (np.diff(c) - np.diff(s)) / 1e6
            steady = (c[1:] >= since) & (c[1:] <= first_end)
            between.append(extra[steady]); ramp.append(extra[c[1:] < since]); delay.append(((c - s) / 1e6)[1:][steady])
        for name, x in (("between, all under way", between), ("between, ramp", ramp), ("delay", delay)):
            x = np.concatenate(x)
            if len(x): print(f"{name}: n {len(x)} p50 {np.percentile(x,50):.2f} p90 {np.percentile(x,90):.2f} p99 {np.percentile(x,99):.2f} p99.9 {np.percentile(x,99.9):.2f} max {x.max():.1f} ms")
        t0 = min(h.came[0] for h in heard)
        big = {}
        for h in heard:
            for a, b in zip(h.sent, h.came):
                if b - a > 40e6: k = round((b - t0) / 1e9, 1); n, m = big.get(k, (0, 0)); big[k] = (n + 1, max(m, (b - a) / 1e6))
        print({k: (n, round(m)) for k, (n, m) in sorted(big.items())})
        print("window s", (first_end-since)/1e9, "memory each kB", memory/streams/1e3, "MB", memory/1e6)

if __name__ == "__main__":
    main()
