"""Several tiers at once; where most of them agree, the answer that is most like the others is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.cascade.strategies.base import in_turn
from cacheguard.cascade.strategies.together import together
from cacheguard.providers.base import Completion
from cacheguard.validation.agreement import medoid, similarities
from embeddings.base import EmbeddingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.cascade.run import Given, Run
    from cacheguard.cascade.tier import Tier
    from cacheguard.validation.agreement import Embed


class Ensemble:
    """size: how many of the first tiers are asked. min_similarity: cosine from which two answers agree.

    Without a majority all of them are rejected, and the tiers behind them are asked in turn.
    """

    def __init__(self, size: int, min_similarity: float, embed: Embed) -> None:
        self._size = size
        self._min = min_similarity
        self._embed = embed

    async def answer(self, run: Run, tiers: Sequence[Tier]) -> Given | None:
        asked, others = tiers[: self._size], tiers[self._size :]
        given = await together(run.ask(tier, others, whole=True, once=True, held=True) for tier in asked)
        answers = [one for one in given if one is not None]
        if answers and (best := await self._agreed(run, answers)):
            return best
        return await in_turn(run, others) if run.may_go_on else None

    async def _agreed(self, run: Run, answers: Sequence[Given]) -> Given | None:
        completions = [given.content for given in answers if isinstance(given.content, Completion)]
        if len(completions) == 1:
            _reject(run, answers, "no other model answered to compare it with", unchecked=True)
            return None
        try:
            best, agreeing = medoid(await similarities(completions, self._embed), self._min)
        except EmbeddingError:
            _reject(run, answers, "whether the answers agree is not known", unchecked=True)
            return None
        if agreeing * 2 <= len(completions):
            _reject(run, answers, f"{len(completions)} models don't agree")
            return None
        return answers[best]


def _reject(run: Run, answers: Sequence[Given], words: str, *, unchecked: bool = False) -> None:
    for given in answers:
        run.reject(given, words, unchecked=unchecked)
