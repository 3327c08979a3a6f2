"""An exact hit over HTTP, beside a bare FastAPI endpoint that parses the same JSON and returns the same bytes.

Both have the same core, the load generator has another. Real questions: of CACHEGUARD_DATA, else of the demo.
"""

from __future__ import annotations

from tests.benchmarks.asking import AT_ONCE, ROUNDS, at_once, logs, over_and_over, over_http, per_round, prompts
from tests.benchmarks.figures import Findings, at_least, at_most, in_turn, latency, throughput
from tests.benchmarks.serving import bare_endpoint, filled_service, hits, stage

BARE, EXACT = "bare FastAPI endpoint", "exact hit"


def measure() -> Findings:
    with stage() as here:
        log, _ = logs()
        service = here.stack.enter_context(filled_service(here.folder, log, here.cores.measured))
        exact = hits(service, prompts(log), "exact")
        bare = here.stack.enter_context(bare_endpoint(here.folder, exact, here.cores.measured))
        found = in_turn(
            {
                **over_http(BARE, bare, over_and_over(exact)),
                **over_http(EXACT, service, over_and_over(exact), mark=b"; detail=exact\r\n"),
            },
            ROUNDS,
        )
    return Findings.of(
        f"exact hits: {len(exact)} questions of {log.name}; {per_round()}",
        found,
        [
            latency(found, at_once(EXACT, 1), at_most(0.4)),
            *(throughput(found, at_once(EXACT, n), at_once(BARE, n), at_least(1.0)) for n in AT_ONCE),
        ],
    )
