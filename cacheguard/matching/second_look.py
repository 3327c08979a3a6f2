"""What a model that reads two texts together adds to a confidence, for a question whose surest answer is not sure
enough.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from cacheguard.matching.confidence import probability
from cacheguard.matching.features import Feature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.confidence import Logistic
    from cacheguard.matching.decide import Judged, Match

SECOND_LOOK = (
    Feature("confidence", +1, "log odds of the confidence before"),
    Feature("read_together", +1, "log odds that the question and the answer's nearest phrasing ask the same"),
    Feature("rival", -1, "the same for the nearest phrasing of another answer"),
)
# Log odds of a rival that is not there: as of a pair that has nothing in common.
_NO_RIVAL = -4.0
_SUREST = 1 - 1e-6


def texts_to_read(surest: Judged, matches: Sequence[Match]) -> list[str]:
    """The nearest phrasing of the surest answer, then that of its nearest rival, where there is one.

    Two of each cost twice the time and changed no figure. matches: phrasings near the question, nearest first.
    """
    rivals = (match for match in matches if match.answer.id != surest.match.answer.id)
    return [match.phrasing.text for match in (surest.match, *islice(rivals, 1))]


def look_again(surest: Judged, logits: NDArray[np.float32], weights: Logistic) -> Judged:
    """The answer with the confidence that it has once its texts were read. Whether it is accepted is the rule's.

    logits: that each of the texts to read asks the same as the question. weights: of `SECOND_LOOK`.
    """
    said = weights.logits(figures(surest.confidence, logits))
    because = {feature.name: float(logit) for feature, logit in zip(SECOND_LOOK, said, strict=True)}
    return surest._replace(confidence=probability(float(said.sum()) + weights.bias), because=because)


def figures(confidence: float, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Those of `SECOND_LOOK`."""
    confidence = min(max(confidence, 1 - _SUREST), _SUREST)
    own, rival = [*logits, _NO_RIVAL][:2]
    return np.array([math.log(confidence) - math.log1p(-confidence), own, rival], np.float64)
