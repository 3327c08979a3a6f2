"""A model that is asked again says the same. Costs an answer for each sample, and one run of the embedding model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.validation.base import Objection, is_answer
from embeddings.base import EmbeddingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from cacheguard.providers.base import Completion
    from cacheguard.validation.base import Ask
    from embeddings.base import Embedded


class SelfConsistency:
    """Objects where fewer than half of the samples agree: as equal JSON, or in vectors as similar as min_similarity.

    Of 12 answers said again in other words, 11 are at 0.80 or above; of 24 that contradict them, 3 are, as one number
    in a sentence hardly moves its vector; of 264 pairs of answers to different questions, none is above 0.62.

    An answer whose samples could not be had or compared is objected to as unchecked: it may be given, but never kept.
    """

    name: ClassVar[str] = "self_consistency"

    def __init__(
        self, samples: int, min_similarity: float, embed: Callable[[Sequence[str]], Awaitable[Embedded]], ask: Ask
    ) -> None:
        self._samples = samples
        self._min = min_similarity
        self._embed = embed
        self._ask = ask

    async def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:
        if not is_answer(completion):
            return None
        try:
            samples = await self._ask(request, times=self._samples)
            agreeing = await self._agreeing(completion.text, [one.text for one in samples if is_answer(one)])
        except (AttemptFailed, EmbeddingError):
            words = "whether the model would say the same again is not known"
            return Objection(FailureClass.REJECTED, words, unchecked=True)
        if 2 * agreeing < self._samples:
            words = f"asked again, the model says something else: {agreeing} of {self._samples} samples agree"
            return Objection(FailureClass.REJECTED, words)
        return None

    async def _agreeing(self, answer: str, samples: Iterable[str]) -> int:
        """How many agree. Raises EmbeddingError."""
        form = _structure(answer)
        agreeing = 0
        prose: list[str] = []
        for sample in samples:
            its = _structure(sample)
            if sample == answer or (form is not None and its is not None):
                agreeing += its == form
            else:
                prose.append(sample)
        if prose:
            said, *others = (await self._embed([answer, *prose])).vectors
            agreeing += sum(float(said @ other) >= self._min for other in others)
        return agreeing


def _structure(text: str) -> dict[str, Any] | list[Any] | None:
    """The JSON object or array that a text is; None for any other text."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict | list) else None
