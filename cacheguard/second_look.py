"""The second look: a slower, keener model is asked where the rule is unsure. What it can't say in time stays a miss."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from cacheguard.matching.second_look import look_again, texts_to_read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.matching.confidence import Logistic
    from cacheguard.matching.decide import Judged, Match, Rule
    from cacheguard.question import Question
    from embeddings.cross_encoder import PairScorer


class Counter(Protocol):
    """Where looks are reported."""

    def looked_again(self, route: str, outcome: str) -> None: ...

    def cache_broke(self, step: str, error: Exception) -> None: ...


class SecondLook(Protocol):
    """Comes between a rule's judgement and the decision."""

    async def look(
        self, question: Question, matches: Sequence[Match], judged: list[Judged], rule: Rule, now: float
    ) -> list[Judged]:
        """What the rule made of a question's answers, the surest first, with what a closer look adds.

        matches: phrasings near the question, nearest first. now: Unix seconds. Never raises.
        """
        ...

    async def aclose(self) -> None: ...


class NoSecondLook:
    """A route whose rule decides alone."""

    async def look(
        self,
        question: Question,  # noqa: ARG002 - here and below: the protocol's
        matches: Sequence[Match],  # noqa: ARG002
        judged: list[Judged],
        rule: Rule,  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> list[Judged]:
        return judged

    async def aclose(self) -> None:
        """It holds nothing."""


NO_SECOND_LOOK: Final = NoSecondLook()


class ReadTogether:
    """Reads the question together with phrasings of its surest answer, when that is nearly sure enough.

    min_confidence: below it, no look would make the answer sure. budget_s: longest time for a look, waiting included.
    """

    def __init__(
        self,
        scorer: PairScorer,
        weights: Logistic,
        counter: Counter,
        *,
        route: str,
        min_confidence: float,
        budget_s: float,
    ) -> None:
        self._route = route
        self._scorer = scorer
        self._weights = weights
        self._min_confidence = min_confidence
        self._budget_s = budget_s
        self._counter = counter
        # One look at a time: with two, each would take longer, and of those that wait none is worth more than a miss.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="second-look")

    async def look(
        self, question: Question, matches: Sequence[Match], judged: list[Judged], rule: Rule, now: float
    ) -> list[Judged]:
        if not judged or not self._is_worth_a_look(judged):
            return judged
        surest, *others = judged
        texts = texts_to_read(surest, matches)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._budget_s):
                logits = await loop.run_in_executor(self._thread, self._scorer.score, question.text, texts)
        except TimeoutError:
            self._counter.looked_again(self._route, "late")
            return judged
        except Exception as error:  # noqa: BLE001 - whatever a model raises, its answer is not served
            self._counter.looked_again(self._route, "broken")
            self._counter.cache_broke("second-look", error)
            return judged
        again = rule.reconsider(question, look_again(surest, logits, self._weights), matches, now)
        self._counter.looked_again(self._route, "hit" if again.accepted else "miss")
        return sorted([again, *others], key=lambda one: -one.confidence)

    def _is_worth_a_look(self, judged: Sequence[Judged]) -> bool:
        surest = judged[0]
        decided = surest.veto or any(one.accepted for one in judged)
        return not decided and surest.confidence >= self._min_confidence

    async def aclose(self) -> None:
        """Let the thread go; nobody waits any more for what it has not begun."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
