"""The lightest provider that is still one: it gives the same chat completion to whatever is posted.

What stands between it and a client is measured, so it reads nothing of a request but its length. It counts the calls.
Run it with `python -m tests.benchmarks.upstream PORT [WAIT_MS]`.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tests.benchmarks.answering import Answering, response, serve

_COMPLETION = json.dumps(
    {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Open the app, tap Cards, choose the card, then Freeze. You can undo it there.",
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 24, "total_tokens": 44},
    }
).encode()


_COMPLETED = response(_COMPLETION)


class Calls:
    """How many were posted. wait_s: what an answer takes."""

    def __init__(self, wait_s: float) -> None:
        self.number = 0
        self.wait_s = wait_s


class Connection(Answering):
    """Whatever it GETs is the number of calls."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls

    def posted(self) -> None:
        self._calls.number += 1
        if self._calls.wait_s:
            asyncio.get_running_loop().call_later(self._calls.wait_s, self.transport.write, _COMPLETED)
        else:
            self.transport.write(_COMPLETED)

    def got(self) -> None:
        self.transport.write(response(b"%d" % self._calls.number))


if __name__ == "__main__":
    port, wait_ms = (*sys.argv[1:], 0)[:2]
    calls = Calls(float(wait_ms) / 1000)
    serve(int(port), lambda: Connection(calls))
