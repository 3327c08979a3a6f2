"""One call's performance: the pauses, the words and the accidents that the script has for it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal, assert_never

from cacheguard.simulate.connection import JSON, ClientGone, Connection
from cacheguard.simulate.wire import Failure, Question, Reply, WireFormat, tokens

if TYPE_CHECKING:
    from random import Random

    from cacheguard.simulate.script import Then

GARBAGE = {
    "html": (b"text/html", b"<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>\n"),
    "broken_json": (JSON, b'{"id": "chatcmpl-sim", "object": "chat.comp'),
    "other_json": (JSON, b'{"status": "ok"}'),
}
GENERATION_FAILED = 500


@dataclass(frozen=True, slots=True)
class Play:
    wire: WireFormat
    connection: Connection
    question: Question
    then: Then
    random: Random

    async def perform(self, number: int, text: str) -> None:
        """Answer the call as its rule says; `text` is what a well-behaved provider would say.

        Raises ClientGone.
        """
        await self.connection.wait(self.then.latency_ms.seconds(self.random))
        if self.then.connection:
            await self._drop(self.then.connection)
        elif self.then.garbage:
            kind, body = GARBAGE[self.then.garbage]
            await self.connection.respond(200, body, kind=kind)
        elif self.then.status:
            await self._fail(self.then.status)
        elif self.question.streamed:
            await self._stream(self._reply(number, text))
        else:
            await self._plain(self._reply(number, text))

    async def _drop(self, how: Literal["reset", "hang"]) -> None:
        match how:
            case "reset":
                await self.connection.reset()
            case "hang":
                await self.connection.gone()
                raise ClientGone
            case _:
                assert_never(how)

    async def _fail(self, status: int) -> None:
        hints = (
            (b"retry-after", self.then.retry_after_s),
            (b"retry-after-ms", self.then.retry_after_ms),
        )
        given = hints if self.wire.hints_in_headers else ()
        headers = [(name, b"%.12g" % value) for name, value in given if value is not None]
        await self.connection.respond(status, self.wire.error(self._failure(status)), *headers)

    async def _stream(self, reply: Reply) -> None:
        then, connection = self.then, self.connection
        stream = self.wire.stream(self.question, reply)
        await connection.start(200, [(b"content-type", b"text/event-stream; charset=utf-8")])
        await connection.write(stream.opening)
        pause = then.first_token_ms
        for token in islice(stream.tokens, self._broken_after):
            await connection.wait(pause.seconds(self.random))
            await connection.write(token)
            pause = then.between_tokens_ms
        if then.cut_after_tokens is not None:
            await connection.cut()
        elif then.error_after_tokens is not None:
            await connection.finish(self.wire.error_event(self._failure(GENERATION_FAILED)))
        else:
            await connection.finish(stream.ending)

    async def _plain(self, reply: Reply) -> None:
        then, connection = self.then, self.connection
        pauses = [then.first_token_ms, *[then.between_tokens_ms] * (len(reply.tokens) - 1)]
        await connection.wait(sum(pause.seconds(self.random) for pause in pauses))
        body = self.wire.plain(self.question, reply)
        if then.cut_after_tokens is not None:
            await connection.start(200, [(b"content-type", JSON), (b"content-length", b"%d" % len(body))])
            await connection.write(body[: len(body) // 2])
            await connection.cut()
        elif then.error_after_tokens is not None:
            await self._fail(GENERATION_FAILED)
        else:
            await connection.respond(200, body)

    def _reply(self, number: int, text: str) -> Reply:
        then = self.then
        words = next(given for given in (then.refusal, then.text, text) if given is not None)
        return Reply(
            number=number,
            tokens=tokens(words)[: then.truncate_after_tokens],
            finish_reason=then.finish_reason if then.truncate_after_tokens is None else "length",
            refused=then.refusal is not None,
            ended=not then.no_end_marker,
        )

    @property
    def _broken_after(self) -> int | None:
        """After how many tokens the stream breaks, None for never."""
        cut = self.then.cut_after_tokens
        return self.then.error_after_tokens if cut is None else cut

    def _failure(self, status: int) -> Failure:
        then = self.then
        hint_s = then.retry_after_s if then.retry_after_ms is None else then.retry_after_ms / 1000
        return Failure(status, then.message, then.type, then.code, retry_after_s=hint_s)
