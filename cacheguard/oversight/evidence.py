"""Whether hits in service break their route's promise, looked at after every single one.

Source: e-detectors (Shin, Ramdas and Rinaldo 2023, arXiv 2203.03532), here the mean of CUSUM e-detectors for three
shares of wrong hits. While the promise holds, they reach `ALARM` at most once in so many hits on average, however
often one looks and whatever it was before: unlike a test on a window of hits, whose errors add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Simulated: where as many hits are wrong as promised, 3 to 12 of 100 runs of 5,000 judged hits reach it; where half as
# many are, at most 1 of 400. With 30 % wrong hits where 1 % was promised, it takes 12 judged ones (95 of 100 runs: 29).
ALARM: Final = 3000.0
# From here on more speaks against the promise than for it, so that all hits are worth a look: after a wrong one, until
# ten to a hundred right ones have made up for it. Simulated, 1 hit of 20 judged, 1 % promised, 5 % wrong: noticed after
# 490 hits (median of 1,000 runs), and after 670 if doubt began at twice the evidence; 277 of them pass before the first
# wrong hit is judged at all. While half as many are wrong as promised, 7 hits of 100 are judged instead of 6.
_DOUBT: Final = 1.0
# Shares of wrong hits, in multiples of the promised one, that are looked for: one that crept up, and one that jumped.
_TIMES: Final = (2.0, 5.0, 20.0)
# No share looked for is greater, so that a right hit still speaks against it.
_MOST: Final = 0.5


@dataclass(frozen=True, slots=True)
class Evidence:
    """Against a promise. peak: the greatest ever. now: after the last hit, about 1 or less where all is well."""

    peak: float
    now: float

    @property
    def breaks(self) -> bool:
        return self.peak >= ALARM

    @property
    def casts_doubt(self) -> bool:
        """Whether all hits shall be judged for a while. It hangs on what is past alone, so no guarantee is lost."""
        return self.now >= _DOUBT


NONE: Final = Evidence(0.0, 0.0)


def evidence(wrong: ArrayLike, max_wrong: float) -> Evidence:
    """wrong: (n,), of each hit in the order of time. max_wrong: the promised share, above 0 and below 0.5."""
    hits = np.asarray(wrong, bool)
    if not hits.size:
        return NONE
    detectors = np.zeros(hits.size)
    for times in _TIMES:
        share = min(times * max_wrong, _MOST)
        ratios = np.where(hits, np.log(share / max_wrong), np.log((1 - share) / (1 - max_wrong)))
        walk = np.cumsum(ratios)
        lowest = np.minimum.accumulate(np.concatenate([[0.0], walk[:-1]]))
        detectors += np.exp(np.minimum(walk - lowest, np.log(ALARM * len(_TIMES))))
    detectors /= len(_TIMES)
    return Evidence(float(detectors.max()), float(detectors[-1]))
