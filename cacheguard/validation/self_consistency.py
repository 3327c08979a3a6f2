"""A model that is asked again says the same. Costs an answer for each sample, and one run of the embedding model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.validation.agreement import similarities
from cacheguard.validation.base import Objection, is_answer
from embeddings.base import EmbeddingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheguard.providers.base import Completion
    from cacheguard.validation.agreement import Embed
    from cacheguard.validation.base import Ask


class SelfConsistency:
    """Objects where fewer than half of the samples agree: as equal JSON, or in vectors as similar as min_similarity.

    Of 12 answers said again in other words, 11 are at 0.80 or above; of 24 that contradict them, 3 are, as one number
    in a sentence hardly moves its vector; of 264 pairs of answers to different questions, none is above 0.62.

    An answer whose samples could not be had or compared is objected to as unchecked: it may be given, but never kept.
    """

    name: ClassVar[str] = "self_consistency"

    def __init__(self, samples: int, min_similarity: float, embed: Embed, ask: Ask) -> None:
        self._samples = samples
        self._min = min_similarity
        self._embed = embed
        self._ask = ask

    async def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:
        if not is_answer(completion):
            return None
        try:
            samples = await self._ask(request, times=self._samples)
            agreeing = await self._agreeing(completion, [one for one in samples if is_answer(one)])
        except (AttemptFailed, EmbeddingError):
            words = "whether the model would say the same again is not known"
            return Objection(FailureClass.REJECTED, words, unchecked=True)
        if 2 * agreeing < self._samples:
            words = f"asked again, the model says something else: {agreeing} of {self._samples} samples agree"
            return Objection(FailureClass.REJECTED, words)
        return None

    async def _agreeing(self, answer: Completion, samples: Sequence[Completion]) -> int:
        """How many agree. Raises EmbeddingError."""
        of_each = await similarities([answer, *samples], self._embed)
        return int((of_each[0, 1:] >= self._min).sum())
