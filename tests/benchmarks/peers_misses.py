"""Misses beside gateways of others: a LiteLLM proxy and Portkey's.

Neither embeds a question, so that the cascade alone, with the cache off, is what compares with them.
"""

from __future__ import annotations

from tests.benchmarks.asking import AT_ONCE, at_once
from tests.benchmarks.figures import Findings, at_least, throughput
from tests.benchmarks.misses import CASCADE, MISS, added, measured, title
from tests.benchmarks.peers import LITELLM, PORTKEY, litellm, portkey

OTHERS = (f"Portkey {PORTKEY}", f"LiteLLM {LITELLM}")


def measure() -> Findings:
    found = measured((portkey, litellm))
    ratios = [
        throughput(
            found,
            at_once(what, n),
            at_once(other, n),
            at_least(1.2) if (what, other, n) == (CASCADE, OTHERS[0], AT_ONCE[-1]) else None,
        )
        for what in (CASCADE, MISS)
        for other in OTHERS
        for n in AT_ONCE
    ]
    return Findings.of(title(), found, [*added(found, *OTHERS), *ratios])
