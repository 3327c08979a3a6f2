"""As growth, up to a million phrasings: their index alone takes minutes to build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import growth

if TYPE_CHECKING:
    from tests.benchmarks.figures import Findings


def measure() -> Findings:
    return growth.measure((*growth.SIZES, 1_000_000))
