"""As growth, up to a million phrasings.

To write them and build their index takes a quarter of an hour. They are kept in the folder for temporary files, and a
second run measures at once.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from tests.benchmarks import growth

if TYPE_CHECKING:
    from tests.benchmarks.figures import Findings


def measure() -> Findings:
    return growth.measure((*growth.SIZES, 1_000_000), Path(gettempdir()) / "cacheguard-growth")
