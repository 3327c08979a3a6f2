"""What was written, told by the streams of all shards as it happens: to whoever keeps rows, and to indexes.

Every change adds an entry to its shard's stream as part of itself. Here one waiting read for each stream hears of it.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections import defaultdict, deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from cacheguard.errors import StoreAway, StoreUnusable
from cacheguard.stores.base import Change
from cacheguard.stores.redis_client import THEIRS, ended, our_error
from cacheguard.stores.redis_told import Told, moment, read_told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

    from cacheguard.stores.base import Touched
    from cacheguard.stores.redis_client import Client
    from cacheguard.stores.redis_place import RedisPlace

# A read waits so long for news before it asks again; the connection's patience must be longer.
WAIT_S: Final = 2.0
_AT_ONCE: Final = 1_000
# How long a look into the history waits for this process's own writes to come by.
_OWN_S: Final = 2.0
# Numbers that other processes gave are times: servers' clocks, and so the shards', are taken to differ by less.
_SKEW_MS: Final = 10_000
_IN_A_MS: Final = 20  # bits
_AGAIN_S: Final = 0.1
_AGAIN_AT_MOST_S: Final = 1.0

log = structlog.get_logger()


class Standing(NamedTuple):
    """Where a shard's feed stands, and what is barred there. born: when the shard was laid out, Unix milliseconds."""

    born: int
    number: int
    entry: bytes
    barred: Sequence[bytes]


class _Shard:
    """entry, number: of the last entry that was read. own: entries of this process that are yet to come by."""

    def __init__(self, stream: str, standing: Standing) -> None:
        self.stream = stream
        self.born = standing.born
        self.number = standing.number
        self.entry = standing.entry
        self.own: set[bytes] = set()


class Feed:
    """The last changes of all shards in one order, which every process numbers by the shards' clocks.

    history: how many changes and how much news are remembered.
    """

    def __init__(
        self,
        client: Client,
        place: RedisPlace,
        history: int,
        look: Callable[[int], Awaitable[Standing]],
        *,
        on_back: Callable[[int], None],
        on_others: Callable[[Collection[str]], None],
    ) -> None:
        """client: with a patience above WAIT_S. look: where a shard stands; it may raise StoreError.

        on_back: told of a shard that is heard again after a break. on_others: told of answers that another process
        replaced or removed.
        """
        self._client = client
        self._place = place
        self._history = history
        self._look = look
        self._on_back = on_back
        self._on_others = on_others
        self._shards: list[_Shard] = []
        self._log: list[Change] = []
        self._start = self._latest = self._opened = 0
        self._touched: deque[Touched] = deque(maxlen=history)
        self._is_lost = False
        self._barred: dict[tuple[str, str], set[str]] = {}  # (scope, key) → answer ids
        self._turns: defaultdict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)
        self._moved = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, streams: Sequence[str], standings: Sequence[Standing]) -> None:
        """Follow these streams from where they stand."""
        self._shards = [_Shard(stream, standing) for stream, standing in zip(streams, standings, strict=True)]
        for standing in standings:
            self._apply([(*json.loads(pair), True) for pair in standing.barred])
        newest = max(moment(shard.entry)[0] for shard in self._shards)
        # Nothing that any process numbered is above it.
        self._start = self._latest = self._opened = (newest + 1 << _IN_A_MS) - 1 if newest else 0
        self._tasks = [asyncio.create_task(self._listen(number)) for number in range(len(streams))]

    @property
    def identity(self) -> str:
        """As of a store: when its shards were laid out, to the millisecond."""
        return "-".join(str(shard.born) for shard in self._shards)

    async def aclose(self) -> None:
        await ended(self._tasks)

    def wrote(self, shard: int, entry: bytes, events: bytes) -> None:
        """This process made a change: its news are told at once, and not again when they come by."""
        if moment(entry) > moment(self._shards[shard].entry):
            self._shards[shard].own.add(entry)
            self._tell(read_told(events))

    def news(self) -> list[Touched] | None:
        """As of a store."""
        touched = None if self._is_lost or len(self._touched) == self._touched.maxlen else list(self._touched)
        self._is_lost = False
        self._touched.clear()
        return touched

    def barred(self, scope: str, key: str) -> frozenset[str]:
        """As of a store."""
        return frozenset(self._barred.get((scope, key), ()))

    async def latest(self) -> int:
        """As latest_change of a store."""
        await self._caught_up()
        return self._latest

    async def changes(self, after: int, limit: int) -> list[Change] | None:
        """As of a store. A number that another process gave comes with all that may be newer than it, limit or not."""
        await self._caught_up()
        newest = self._latest + (_SKEW_MS << _IN_A_MS)
        if after > newest or (after and after >> _IN_A_MS < max(shard.born for shard in self._shards)):
            return None  # of another store
        if after < self._opened or after > self._latest:  # another process may have heard of more by now
            return await self._history_since(after)
        if after < self._start:
            return None
        first = bisect_right(self._log, after, key=lambda change: change.seq)
        return self._log[first : first + limit]

    async def changed(self, within_s: float) -> None:
        """As of a store."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        self._changed.clear()

    @contextmanager
    def turn_over(self, name: tuple[str, str]) -> Iterator[asyncio.Event]:
        """Set when a turn of this name, its scope and the digest of its key, is given back from now on."""
        over = asyncio.Event()
        self._turns[name].add(over)
        try:
            yield over
        finally:
            self._turns[name].discard(over)
            if not self._turns[name]:
                del self._turns[name]

    async def heard(self, shard: int, entry: bytes, within_s: float) -> None:
        """Until all up to this entry came by, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while moment(self._shards[shard].entry) < moment(entry):
                    await self._moved.wait()

    async def _caught_up(self) -> None:
        """Until this process's own changes came by: they are in the history then, in the order of all. Raises
        StoreAway.
        """
        if not any(shard.own for shard in self._shards):
            return
        try:
            async with asyncio.timeout(_OWN_S):
                while any(shard.own for shard in self._shards):
                    await self._moved.wait()
        except TimeoutError as exc:
            raise StoreAway(f"the feed of {self._place} does not come: it is tried again") from exc

    async def _listen(self, number: int) -> None:
        """Read what comes; where the connection breaks, go on behind what was read last."""
        shard, again_s = self._shards[number], _AGAIN_S
        while True:
            command = ("XREAD", "COUNT", _AT_ONCE, "BLOCK", int(WAIT_S * 1000), "STREAMS", shard.stream, shard.entry)
            try:
                found = await self._client.execute_command(*command)
                for entry, fields in next(iter(found.values()))[0] if found else ():
                    self._read(shard, entry, int(fields[b"n"]), fields[b"e"])
                again_s = _AGAIN_S
            except Exception as exc:  # noqa: BLE001 - the border: a broken client of a cluster raises whatever it likes
                if again_s == _AGAIN_S:
                    log.warning("feed_broken", error=type(exc).__name__)
                await asyncio.sleep(again_s)
                again_s = min(2 * again_s, _AGAIN_AT_MOST_S)
                await self._compare(number)

    def _read(self, shard: _Shard, entry: bytes, number: int, events: bytes) -> None:
        told = read_told(events)
        if number != shard.number + 1:
            self._lose()
        shard.entry, shard.number = entry, number
        begins = moment(entry)[0] << _IN_A_MS
        for scope, id_, is_gone in told.vectors:
            self._latest = max(self._latest + 1, begins)
            self._log.append(Change(self._latest, scope, id_, is_gone))
        if (too_many := len(self._log) - self._history) > 0:
            self._start = self._log[too_many - 1].seq
            del self._log[:too_many]
        if told.vectors:
            self._changed.set()
        for turn in told.turns:
            for over in self._turns.get(turn, ()):
                over.set()
        if entry in shard.own:
            shard.own.discard(entry)
            self._apply(told.barred)  # once more: what others said meanwhile came in between
        else:
            self._tell(told)
            self._on_others({one.answer_id for one in told.touched if one.answer_id})
        self._moved.set()
        self._moved = asyncio.Event()

    def _tell(self, told: Told) -> None:
        self._touched.extend(told.touched)
        self._apply(told.barred)

    def _apply(self, barred: Sequence[tuple[str, str, str, bool]]) -> None:
        for scope, key, answer_id, is_barred in barred:
            if is_barred:
                self._barred.setdefault((scope, key), set()).add(answer_id)
            elif answers := self._barred.get((scope, key)):
                answers.discard(answer_id)

    async def _compare(self, number: int) -> None:
        """After a break: whether the shard is still the one that was followed, and holds what was read of it."""
        try:
            standing = await self._look(number)
        except StoreUnusable:
            return
        shard = self._shards[number]
        if standing.born != shard.born or standing.number < shard.number:
            shard.born, shard.number, shard.entry = standing.born, standing.number, standing.entry
            self._lose()
            self._apply([(*json.loads(pair), True) for pair in standing.barred])
        self._on_back(number)

    def _lose(self) -> None:
        """Something came and went unread, or what was read is no more: nothing that was read may be relied on."""
        log.warning("feed_lost")
        self._is_lost = True
        for shard in self._shards:
            shard.own.clear()
        self._log.clear()
        self._start = self._latest = self._latest + 1
        self._changed.set()

    async def _history_since(self, after: int) -> list[Change] | None:
        """What the streams hold from before this store was opened, and all since."""
        since, latest = max(0, (after >> _IN_A_MS) - _SKEW_MS), self._latest
        found: list[tuple[tuple[int, int], Told]] = []
        for shard in self._shards:
            first = await self._range(shard, "-", "+", "COUNT", 1)
            if first and first[0][1][b"n"] != b"1" and moment(first[0][0])[0] >= since:
                return None
            found += [
                (moment(entry), read_told(fields[b"e"])) for entry, fields in await self._range(shard, since, "+")
            ]
        found.sort(key=lambda each: each[0])
        changes = [change for _, told in found for change in told.vectors]
        # The last has the number of the newest when this began: whoever has it goes on with what came since.
        return [Change(latest - at, *change) for at, change in zip(range(len(changes))[::-1], changes, strict=True)]

    async def _range(self, shard: _Shard, *bounds: str | int) -> list[Any]:
        try:
            return list(await self._client.execute_command("XRANGE", shard.stream, *bounds))
        except THEIRS as exc:
            raise our_error(self._place, exc) from exc
