"""Streams from a tier: the commit gate, and what happens behind it.

Until a chunk speaks (text, reasoning or a tool call), chunks are held back and any failure is unseen by the client.
After that nothing is switched: a failure breaks the stream.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from cacheguard.cascade.patience import Patience
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.chat_shape import Joining

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from cacheguard.cascade.under_way import UnderWay
    from cacheguard.providers.base import Call, Chunk, Completion

    Judge: TypeAlias = Callable[[Completion], Awaitable[AttemptFailed | None]]

# A stream that opens with more than this without a word says nothing worth waiting for.
HELD_LIMIT = 64


class OpenStream:
    """A stream that has begun to speak. chunks() gives what was held back, then the rest, once."""

    def __init__(
        self, held: list[Chunk], rest: AsyncGenerator[Chunk, None], joined: Joining, under_way: UnderWay, judge: Judge
    ) -> None:
        self._held = held
        self._rest = rest
        self._joined = joined
        self._under_way = under_way
        self._judge = judge
        self._patience = Patience()
        self.objection: AttemptFailed | None = None

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Raises AttemptFailed where the stream breaks: what was given is then no whole answer."""
        try:
            for held in self._held:
                yield held
            self._held.clear()
            while chunk := await self._next():
                self._joined.add(chunk)
                yield chunk
            completion = self.completion()
            self._under_way.came(completion)
            self.objection = await self._judge(completion)
            self._under_way.ended(self.objection)
        except AttemptFailed as failure:
            self._under_way.ended(failure, self.completion())
            raise
        finally:
            await self.aclose()

    async def _next(self) -> Chunk | None:
        """The next chunk, None at the end. Time runs here alone: around a yield it would cancel whoever reads."""
        silent_at = _now() + self._under_way.tier.between_tokens_timeout_s
        ends_at = self._under_way.ends_at
        try:
            return await self._patience.wait(anext(self._rest, None), min(silent_at, ends_at))
        except TimeoutError as exc:
            late = "the next token took too long" if silent_at < ends_at else "the answer took too long"
            raise AttemptFailed(FailureClass.SLOW, late) from exc

    def completion(self) -> Completion:
        """What the chunks so far add up to."""
        return self._joined.completion()

    async def aclose(self) -> None:
        """Let go of the provider, at the end or before it."""
        self._patience.close()
        self._under_way.abandoned(self.completion())
        await self._rest.aclose()


async def open_stream(call: Call, under_way: UnderWay, judge: Judge) -> OpenStream | Completion:
    """Open a stream and wait for its first word; a stream that ends without one comes back as the completion it is.

    under_way: the stream, once open, tells how it ended. Raises AttemptFailed for anything that goes wrong before that.
    """
    tier = under_way.tier
    joined = Joining()
    held: list[Chunk] = []
    rest = tier.provider.stream(call)
    try:
        first_token_at = _now() + min(tier.first_token_timeout_s, under_way.limit_s)
        async with _clock(first_token_at, "the first token took too long"):
            async for chunk in rest:
                joined.add(chunk)
                held.append(chunk)
                if chunk.speaks:
                    under_way.spoke()
                    return OpenStream(held, rest, joined, under_way, judge)
                if len(held) > HELD_LIMIT and not joined.completion().refusal:
                    raise AttemptFailed(FailureClass.EMPTY, f"{HELD_LIMIT} chunks without a word")
    except BaseException:
        await rest.aclose()
        raise
    return joined.completion()


def _now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def _clock(at: float, message: str) -> AsyncIterator[None]:
    """Fail as slow at loop time `at`."""
    try:
        async with asyncio.timeout_at(at):
            yield
    except TimeoutError as exc:
        raise AttemptFailed(FailureClass.SLOW, message) from exc
