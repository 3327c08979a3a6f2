"""The way to one Redis: calls that wait go out together, and while nobody answers there each is told so at once."""

from __future__ import annotations

import asyncio
from collections import deque
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from redis import exceptions as theirs

from cacheguard.errors import StoreAway, StoreError
from cacheguard.stores.redis_client import GONE, THEIRS, ended, our_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cacheguard.stores.redis_client import Client
    from cacheguard.stores.redis_place import RedisPlace

# One alone takes 150 µs of this process, a hundred together 18 each.
_TOGETHER: Final = 128
# Until the first look whether it is back, and between two later ones.
_FIRST_LOOK_S: Final = 0.05
_LOOK_EVERY_S: Final = 0.5
# What some scripts have in common stands before each of them.
_WRITING: Final = ("keep", "add_phrasings", "remove", "remove_phrasing", "put_vectors", "add_labels", "give_turn")
_BEFORE: Final = {**dict.fromkeys(_WRITING, "rows"), "answers": "whole", "some_answers": "whole"}


log = structlog.get_logger()


class Script(NamedTuple):
    """A Lua script, and the SHA-1 that a Redis knows it by."""

    text: str
    sha: str


class _Call(NamedTuple):
    """instead: what to ask of a Redis that was started anew and knows no scripts."""

    command: tuple[Any, ...]
    future: asyncio.Future[Any]
    instead: tuple[Any, ...] = ()


def read_script(name: str) -> Script:
    folder = files("cacheguard.stores") / "redis_scripts"
    parts = [part for part in (_BEFORE.get(name), name) if part]
    text = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class Line:
    """Calls go in the order in which they come. tag: a key that lies where all others of this line do."""

    def __init__(self, client: Client, place: RedisPlace, tag: str, on_back: Callable[[], None]) -> None:
        """on_back: called whenever it can be used again."""
        self._client = client
        self._place = place
        self._tag = tag
        self._on_back = on_back
        self._scripts: dict[str, Script] = {}
        self._waiting: deque[_Call] = deque()
        self._called = asyncio.Event()
        self._why = ""
        self._tasks = [asyncio.create_task(self._work())]

    @property
    def is_away(self) -> bool:
        return bool(self._why)

    async def run(self, script: str, *arguments: Any) -> Any:
        """What the script gives, on this line's tag. Raises StoreError."""
        return await self.run_on(self._tag, script, *arguments)

    async def run_on(self, tag: str, name: str, *arguments: Any) -> Any:
        """The same on another tag."""
        script = self._scripts.get(name) or self._scripts.setdefault(name, read_script(name))
        rest = (1, tag, *arguments)
        return await self._put(("EVALSHA", script.sha, *rest), ("EVAL", script.text, *rest))

    async def ask(self, *command: Any) -> Any:
        """What the command gives. It is made even where the caller stops waiting. Raises StoreError."""
        return await self._put(command)

    async def aclose(self) -> None:
        """Nothing may be asked after it; what waits is told so."""
        self._give_up(StoreError(f"the store in {self._place} is closed: open() it first"))
        await ended(self._tasks)

    async def _put(self, command: tuple[Any, ...], instead: tuple[Any, ...] = ()) -> Any:
        if self._why:
            raise StoreAway(self._why)
        future = asyncio.get_running_loop().create_future()
        try:
            # Here, where a text that can't be encoded is the fault of this call alone.
            self._waiting.append(_Call(_encoded(command), future, instead))
            self._called.set()
            return await future
        except (*THEIRS, UnicodeEncodeError) as exc:
            raise our_error(self._place, exc) from exc

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._called.clear()
                await self._called.wait()
            await self._send([self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))])

    async def _send(self, calls: Sequence[_Call]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(*call.command)
        results: Sequence[Any]
        try:
            results = await pipeline.execute(raise_on_error=False)
        except THEIRS as exc:
            results = [exc] * len(calls)
        except Exception as exc:  # noqa: BLE001 - the border: a cluster's client that looks for its nodes raises anything
            results = [theirs.ConnectionError(f"{type(exc).__name__}: {exc}")] * len(calls)
        for call, result in zip(calls, results, strict=True):
            if isinstance(result, theirs.NoScriptError):
                self._waiting.append(_Call(_encoded(call.instead), call.future))
                self._called.set()
            else:
                _settle(call.future, result)
        gone = next((result for result in results if isinstance(result, GONE)), None)
        if gone is not None and not self._why:
            self._why = str(our_error(self._place, gone))
            log.error("store away", place=str(self._place), error=type(gone).__name__)
            self._give_up(StoreAway(self._why))
            self._tasks.append(asyncio.create_task(self._look_for_it()))

    async def _look_for_it(self) -> None:
        """Until it answers: a look by itself, so that no request need find out."""
        wait_s = _FIRST_LOOK_S
        while self._why:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LOOK_EVERY_S)
            try:
                await self._client.execute_command("EXISTS", self._tag)
            except Exception as exc:  # noqa: BLE001 - as above
                self._why = str(our_error(self._place, exc))
            else:
                self._why = ""
        self._tasks = [task for task in self._tasks if not task.done() and task is not asyncio.current_task()]
        log.info("store back", place=str(self._place))
        self._on_back()

    def _give_up(self, error: StoreError) -> None:
        while self._waiting:
            _settle(self._waiting.popleft().future, error)


def _settle(future: asyncio.Future[Any], result: object) -> None:
    if future.done():  # whoever waited has gone
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _encoded(command: tuple[Any, ...]) -> tuple[Any, ...]:
    """All but the command's name, which the client of a cluster looks up."""
    name, *arguments = command
    return (name, *(part.encode() if isinstance(part, str) else part for part in arguments))
