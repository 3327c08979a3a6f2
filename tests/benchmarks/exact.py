"""An exact hit over HTTP, beside a bare FastAPI endpoint that parses the same JSON and returns the same bytes.

Twice: requests that come again byte by byte, for which there is a fast lane, and requests of which each names another
user, so that none was seen before. All have the same core, the load generator has another. Real questions: of
CACHEGUARD_DATA, else of the demo.
"""

from __future__ import annotations

from tests.benchmarks.asking import (
    AT_ONCE,
    PLACE,
    ROUNDS,
    Numbered,
    at_once,
    logs,
    over_and_over,
    over_http,
    per_round,
    prompts,
    request,
)
from tests.benchmarks.figures import Findings, at_least, at_most, in_turn, latency, throughput
from tests.benchmarks.serving import bare_endpoint, filled_service, hits, stage

BARE, EXACT, ANOTHER = "bare FastAPI endpoint", "exact hit", "exact hit of another user"

HIT = b"; detail=exact\r\n"


def measure() -> Findings:
    with stage() as here:
        log, _ = logs()
        service = here.stack.enter_context(filled_service(here.folder, log, here.cores.measured))
        exact = hits(service, prompts(log), "exact")
        others = Numbered(request(question, user=PLACE) for question in exact)
        bare = here.stack.enter_context(bare_endpoint(here.folder, exact, here.cores.measured))
        found = in_turn(
            {
                **over_http(BARE, bare, over_and_over(exact)),
                **over_http(EXACT, service, over_and_over(exact), mark=HIT),
                **over_http(ANOTHER, service, others, mark=HIT),
            },
            ROUNDS,
        )
    return Findings.of(
        f"exact hits: {len(exact)} questions of {log.name}; {per_round()}",
        found,
        [
            *(latency(found, at_once(what, 1), at_most(0.4)) for what in (EXACT, ANOTHER)),
            *(
                throughput(found, at_once(what, n), at_once(BARE, n), at_least(1.0))
                for what in (EXACT, ANOTHER)
                for n in AT_ONCE
            ),
        ],
    )
