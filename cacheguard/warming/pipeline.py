"""From logs to the cache: read, settle, embed, compare, group, estimate, keep. Each goes on where it was killed."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Protocol

from cacheguard.errors import FileUnusable
from cacheguard.lines import BadLine
from cacheguard.warming.bad_lines import BadLines
from cacheguard.warming.engine import Local
from cacheguard.warming.estimate import estimate
from cacheguard.warming.filling import BATCH, Filling, Member
from cacheguard.warming.grouping import Grouping, Unit, rules_for
from cacheguard.warming.log import LeftOut
from cacheguard.warming.neighbours import blocks
from cacheguard.warming.reading import AUTO, read
from cacheguard.warming.report import Conflict, Report
from cacheguard.warming.settling import Settled, Unsettled, settle
from cacheguard.warming.sifting import Personal, Sifting, Terms
from cacheguard.warming.sources import Source, of_file
from cacheguard.warming.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.place import Place
    from cacheguard.stores.base import Store
    from cacheguard.warming.engine import Engine
    from cacheguard.warming.log import Logged
    from cacheguard.warming.work import Asked
    from embeddings.base import Embedder

# Exchanges read between two commits: a tenth of a second's work to lose.
_READ: Final = 1024
# Questions embedded between two commits; sorted by length among so many, a run of the model pads little.
_EMBEDDED: Final = 1024
_REMEMBERED: Final = 8192


class Progress(Protocol):
    """Told how far it is."""

    def begin(self, what: str, total: int) -> None:
        """A stretch of work begins; its steps are bytes of files, or questions."""
        ...

    def advance(self, steps: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What is read, and how. format_: AUTO, or one of the readers'. columns: of tables, by our names.

    since: Unix seconds. log_tenant: the tenant as the log names it, "*" for all. at_least: how often a question has to
    be asked to be kept. most: questions kept, the most asked ones. folder: where work in progress lies, for a run that
    goes on; None: nowhere. bad_lines: a file for what can't be read.
    """

    format_: str = AUTO
    columns: Mapping[str, str] = field(default_factory=dict)
    since: float | None = None
    log_tenant: str = ""
    personal: Personal = Personal.SKIP
    at_least: int = 1
    most: int | None = None
    folder: Path | None = None
    resume: bool = False
    dry_run: bool = False
    bad_lines: Path | None = None


async def warm(
    logs: Sequence[Source | Path],
    place: Place,
    store: Store,
    embedder: Embedder,
    *,
    now: float,
    progress: Progress,
    wish: Wish | None = None,
    engine: Engine | None = None,
) -> Report:
    """Fill the cache from logs. A finished run, and one that goes on, change nothing that is there already.

    now: Unix seconds, when the answers count as written. Raises FileUnusable when no line can be used.
    """
    wish = wish or Wish()
    sources = [log if isinstance(log, Source) else of_file(log) for log in logs]
    with ExitStack() as stack:
        folder = wish.folder
        if folder is None or wish.dry_run:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="cacheguard-warming-")))
        path = folder / f"{_name(sources, wish, place, embedder)}.db"
        if not wish.resume:
            _forget(path)
        work = stack.enter_context(closing(Work(path, embedder.spec.dimension)))
        warming = _Warming(work, place, wish, progress, engine=engine or Local(embedder), now=now)
        report = await warming.run(sources, store)
        work.remove()
    return report


class _Warming:
    def __init__(self, work: Work, place: Place, wish: Wish, progress: Progress, *, engine: Engine, now: float) -> None:
        self._work = work
        self._place = place
        self._wish = wish
        self._progress = progress
        self._engine = engine
        self._now = now
        known = work.get("report", None)
        self._report = Report.from_json(known) if known else Report(dry_run=wish.dry_run)

    async def run(self, sources: Sequence[Source], store: Store) -> Report:
        begun = time.perf_counter()
        if not self._work.get("is_read", otherwise=False):
            await self._read(sources)
            self._settle()
        await self._embed()
        await self._compare()
        known = _Known(self._work)
        if not self._work.get("is_grouped", otherwise=False):
            self._group(known)
        await self._keep(known, store)
        self._report.seconds += time.perf_counter() - begun
        return self._report

    async def _read(self, sources: Sequence[Source]) -> None:
        work, report, wish = self._work, self._report, self._wish
        self._progress.begin("Reading", sum(source.size for source in sources))
        terms = Terms(self._now, wish.since, wish.log_tenant, wish.personal)
        sifting = Sifting(self._place, terms)
        with BadLines(wish.bad_lines, work.get("bad_lines", 0)) as bad_lines:
            rows = read(sources, wish.format_, wish.columns, self._progress.advance)
            rows = islice(rows, report.lines, None)  # what was read before a kill
            while batch := list(islice(rows, _READ)):
                asked = [one for row in batch if (one := await self._sifted(row, sifting, bad_lines))]
                work.add(asked, report=report.as_json(), bad_lines=bad_lines.flushed())
            report.bad_lines_file = str(bad_lines.path or "")
        if report.lines == report.bad + sum(report.left_out.values()):
            first = next(iter([*map(str, report.bad_lines), *report.left_out]), "there is no line in it")
            names = ", ".join(source.name for source in sources)
            raise FileUnusable(f"nothing in {names} can be used: {first}")

    async def _sifted(self, row: Logged | BadLine, sifting: Sifting, bad_lines: BadLines) -> Asked | None:
        report = self._report
        report.lines += 1
        one = row if isinstance(row, BadLine) else await sifting.sift(row, report.lines)
        match one:
            case BadLine():
                report.add_bad(one)
                bad_lines.add(one)
            case LeftOut(reason):
                report.leave_out(reason)
            case _:
                return one
        return None

    def _settle(self) -> None:
        """Set aside what contradicts itself, and choose what is kept."""
        work, report = self._work, self._report
        aside = []
        for question in work.contested():
            settled = settle(work.candidates(question))
            if isinstance(settled, Unsettled):
                aside.append(question)
                report.add_conflict(Conflict(work.text_asked(question), settled.texts))
        work.set_aside(aside)
        work.choose(at_least=self._wish.at_least, most=self._wish.most, is_read=True)
        report.questions = work.questions
        report.folded = work.exchanges - work.questions
        report.rare = work.questions - work.chosen - report.conflicts
        work.note(report=report.as_json())

    async def _embed(self) -> None:
        work = self._work
        self._progress.begin("Embedding", work.chosen - work.embedded)
        rows = work.chosen_from(work.embedded)
        batches = iter(lambda: [one.text for one in islice(rows, _EMBEDDED)], [])
        async for embedded in self._engine.embed(batches):
            cut = [at for at, was_cut in enumerate(embedded.cut) if was_cut]
            work.put_vectors(embedded.vectors, cut)
            self._progress.advance(len(embedded.vectors))

    async def _compare(self) -> None:
        work = self._work
        compared = work.get("compared", 0)
        wanted = [
            (block, (start, stop))
            for start, stop in work.scopes()
            if stop - start > 1
            for block in blocks(start, stop)
            if block[0] >= compared
        ]
        self._progress.begin("Comparing", sum(stop - start for (start, stop), _ in wanted))
        async for near in self._engine.neighbours(work.vectors, wanted):
            work.put_near(near, compared=near.start + len(near.places))
            self._progress.advance(len(near.places))

    def _group(self, known: _Known) -> None:
        work, report = self._work, self._report
        self._progress.begin("Grouping", work.chosen)
        work.put_groups(self._groups(known), is_grouped=True)
        report.groups = work.founders
        report.saved_usd, report.saved_s = work.saved()
        report.estimate = estimate(work, known, self._place.route.rule, self._now)
        work.note(report=report.as_json())

    def _groups(self, known: _Known) -> Iterator[tuple[int, int]]:
        alone, agreed = rules_for(self._place.route.rule)
        for start, stop in self._work.scopes():
            grouping = Grouping(known, alone, agreed, self._now)
            for place, near in self._work.by_traffic(start, stop):
                grouping.place(place, near)
                self._progress.advance(1)
            grouping.unite()
            yield from ((place, grouping.group_of(place)) for place in range(start, stop))
            for doubt in grouping.doubts:
                texts = doubt.one.settled.text, doubt.other.settled.text
                self._report.add_doubt(Conflict(doubt.one.text, texts, doubt.other.text))

    async def _keep(self, known: _Known, store: Store) -> None:
        work, report = self._work, self._report
        kept, done = work.get("kept", -1), work.get("kept_questions", 0)
        self._progress.begin("Looking up" if self._wish.dry_run else "Keeping", work.chosen - done)
        filling = Filling(self._place, store, report, self._now)
        rows = work.groups(kept)
        while batch := list(islice(rows, BATCH)):
            members = [Member(known.question(place), known.unit(founder).settled, known.vector(place))
                       for founder, place in batch]  # fmt: skip
            await filling.fill(members, dry_run=self._wish.dry_run)
            done += len(batch)
            # The last group may go on; what of it is kept already, a run that goes on finds in the cache.
            work.note(kept=batch[-1][0] - 1, kept_questions=done, report=report.as_json())
            self._progress.advance(len(batch))
        if not self._wish.dry_run:
            await filling.take_back(work.unsettled())


class _Known:
    """Questions, answers and vectors out of the database; those asked for lately are remembered."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._cut = frozenset(work.get("cut", []))
        self.unit = lru_cache(_REMEMBERED)(self._unit)
        self.question = lru_cache(_REMEMBERED)(work.question)
        self.vector = lru_cache(_REMEMBERED)(self._vector)

    def _unit(self, place: int) -> Unit:
        question = self.question(place)
        settled = settle(self._work.candidates(question.id))
        assert isinstance(settled, Settled)  # noqa: S101 - the others were set aside
        if settled.id:
            settled = settled.saying(self._work.text_of(settled.id))
        return Unit(place, question.text, question.key, settled)

    def _vector(self, place: int) -> NDArray[np.float32] | None:
        return None if place in self._cut else self._work.vectors(place, place + 1)[0]


def _name(sources: Sequence[Source], wish: Wish, place: Place, embedder: Embedder) -> str:
    """The same for a run that goes on, and for no other: what decides which questions come out."""
    decides = [
        [source.whole for source in sources],
        [wish.format_, sorted(wish.columns.items()), wish.log_tenant, wish.personal, wish.at_least, wish.most],
        [place.route.name, place.tenant, place.system_prompt, place.route.context, embedder.spec.fingerprint],
    ]
    return f"{place.route.name}-{sha256(repr(decides).encode()).hexdigest()[:16]}"


def _forget(path: Path) -> None:
    for end in (".db", ".f32", ".db-wal"):
        path.with_name(path.stem + end).unlink(missing_ok=True)
