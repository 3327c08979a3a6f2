"""From logs to the cache: read, settle, embed, compare, group, estimate, keep. Each goes on where it was killed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from cacheguard.errors import FileUnusable
from cacheguard.lines import BadLine
from cacheguard.types import Provenance
from cacheguard.warming.bad_lines import BadLines
from cacheguard.warming.early import AT_ONCE, Early
from cacheguard.warming.engine import Local
from cacheguard.warming.estimate import estimate
from cacheguard.warming.filling import BATCH, TIER, Filling, Member
from cacheguard.warming.grouping import Grouping, rules_for
from cacheguard.warming.log import LeftOut
from cacheguard.warming.matches import Known, Matches
from cacheguard.warming.neighbours import blocks
from cacheguard.warming.reading import read
from cacheguard.warming.report import Conflict, Report
from cacheguard.warming.review import Review
from cacheguard.warming.settling import Settled, Unsettled, settle
from cacheguard.warming.sifting import Sifting, Terms
from cacheguard.warming.sources import Source, of_file
from cacheguard.warming.wish import Wish
from cacheguard.warming.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheguard.place import Place
    from cacheguard.stores.base import Store
    from cacheguard.warming.engine import Engine
    from cacheguard.warming.exchanges import Asked
    from cacheguard.warming.grouping import Doubt
    from cacheguard.warming.log import Logged
    from cacheguard.warming.places import Grouped
    from cacheguard.warming.review import Models
    from cacheguard.warming.wish import Progress
    from embeddings.base import Embedder

# Exchanges read between two commits: a tenth of a second's work to lose.
_READ: Final = 1024
# Questions embedded between two commits; sorted by length among so many, a run of the model pads little.
_EMBEDDED: Final = 1024


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
    models: Models | None = None,
) -> Report:
    """Fill the cache from logs. A finished run, and one that goes on, change nothing that is there already.

    models: who has a second look at the answers, None for nobody. now: Unix seconds, when the answers count as written.
    Raises FileUnusable when no line can be used.
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
        report = await warming.run(sources, store, models)
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
        self._known = Known(work)
        self._validators = tuple(one.name for one in place.route.plan.validators)
        self._report = Report.from_json(known) if known else Report(dry_run=wish.dry_run)

    async def run(self, sources: Sequence[Source], store: Store, models: Models | None) -> Report:
        begun = time.perf_counter()
        if not self._work.get("is_read", otherwise=False):
            await self._read(sources)
            self._settle()
        if not self._work.get("is_grouped", otherwise=False):
            await self._embed()
            await self._compare()
            self._group()
        if models and not self._work.get("is_reviewed", otherwise=False):
            self._progress.begin("Asking models", 0)
            await Review(self._work, self._place, models, self._report).run()
            self._work.note(is_reviewed=True, report=self._report.as_json())
        await self._keep(store)
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
            async with Early(work, self._engine, at_once=0 if wish.leaves_out else AT_ONCE) as early:
                while batch := list(islice(rows, _READ)):
                    asked = [one for row in batch if (one := await self._sifted(row, sifting, bad_lines))]
                    with work.change():
                        questions = work.exchanges.add(asked)
                        early.put_done()
                        work.note(report=report.as_json(), bad_lines=bad_lines.flushed())
                    await early.offer(questions)
                await early.finish()
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
        work, exchanges, report = self._work, self._work.exchanges, self._report
        with work.change():
            exchanges.settle_uncontested()
            for question in exchanges.contested():
                settled = settle(exchanges.candidates(question))
                if isinstance(settled, Unsettled):
                    exchanges.set_aside(question)
                    report.add_conflict(Conflict(exchanges.asked(question)[1], settled.texts))
                else:
                    exchanges.settle(question, settled)
            work.places.choose(at_least=self._wish.at_least, most=self._wish.most)
            report.questions = exchanges.questions
            report.folded = len(exchanges) - report.questions
            report.rare = report.questions - len(work.places) - report.conflicts
            work.note(is_read=True, report=report.as_json())

    async def _embed(self) -> None:
        work = self._work
        work.place_early()
        self._progress.begin("Embedding", work.unembedded)
        wanted, under_way = work.without_vector(), deque[Sequence[int]]()

        def texts() -> Iterator[list[str]]:
            while batch := list(islice(wanted, _EMBEDDED)):
                under_way.append([place for place, _ in batch])
                yield [text for _, text in batch]

        async for embedded in self._engine.embed(texts()):
            places = under_way.popleft()
            work.put_vectors(places, embedded)
            self._progress.advance(len(places))

    async def _compare(self) -> None:
        """Each question with those before it in its scope."""
        work, compared = self._work, self._work.get("compared", 0)
        self._progress.begin("Comparing", len(work.places) - compared)
        wanted = (
            (block, (start, block[1]))
            for start, stop in work.places.scopes()
            if stop - start > 1
            for block in blocks(start, stop)
            if block[0] >= compared
        )
        async for near in self._engine.neighbours(work.vectors.rows, wanted):
            done = near.start + len(near.places)
            with work.change():
                work.places.put_near(near)
                work.note(compared=done)
            self._progress.advance(done - compared)
            compared = done
        self._progress.advance(len(work.places) - compared)

    def _group(self) -> None:
        """Find what one answer is right for, and tell what to expect."""
        work, report = self._work, self._report
        self._progress.begin("Grouping", len(work.places))
        matches = Matches(self._known, self._now)
        with work.change():
            work.places.put_groups(self._groups(matches))
            report.groups = work.places.founders
            report.saved_usd, report.saved_s = work.places.saved()
            report.estimate = estimate(work, self._known, matches, self._place.route.rule, self._now)
            work.note(is_grouped=True, report=report.as_json())

    def _groups(self, matches: Matches) -> Iterator[tuple[int, int]]:
        """Places and the founders of their groups."""
        places, rules = self._work.places, rules_for(self._place.route.rule)
        for start, stop in places.scopes():
            grouping = Grouping(start, self._known, matches, rules, on_doubt=self._doubted, now=self._now)
            for unit, near in zip(places.units(start, stop), places.near(start, stop), strict=True):
                grouping.place(unit, near)
                self._progress.advance(1)
            grouping.unite()
            yield from ((place, grouping.group_of(place)) for place in range(start, stop))

    def _doubted(self, doubt: Doubt) -> None:
        texts = self._known.said(doubt.one.place), self._known.said(doubt.other.place)
        self._report.add_doubt(Conflict(doubt.one.text, texts, doubt.other.text))

    async def _keep(self, store: Store) -> None:
        work, report = self._work, self._report
        done = work.get("kept_questions", 0)
        self._progress.begin("Looking up" if self._wish.dry_run else "Keeping", len(work.places) - done)
        filling = Filling(self._place, store, report, self._now)
        rows = work.places.groups(work.get("kept", -1))
        settled = lru_cache(BATCH)(work.places.settled)
        while batch := list(islice(rows, BATCH)):
            members = [self._member(one, settled(one.founder)) for one in batch]
            await filling.fill(members, dry_run=self._wish.dry_run)
            done += len(batch)
            # The last group may go on; what of it is kept already, a run that goes on finds in the cache.
            work.note(kept=batch[-1].founder - 1, kept_questions=done, report=report.as_json())
            self._progress.advance(len(batch))
        self._progress.advance(len(work.places) - done)  # the questions of answers that were found wrong
        if not self._wish.dry_run:
            await filling.take_back(work.exchanges.unsettled())
            await filling.take_back(work.opinions.rejected())
            await self._renew(filling)

    def _member(self, one: Grouped, settled: Settled) -> Member:
        provenance = Provenance(TIER, settled.model, validators=self._validators)
        return Member(one.scope, one.key, one.text, settled, provenance, self._known.vector(one.place))

    async def _renew(self, filling: Filling) -> None:
        """Keep what a tier answered anew."""
        rows = self._work.opinions.renewed()
        while batch := list(islice(rows, BATCH)):
            [embedded] = [one async for one in self._engine.embed([[one.prompt for one in batch]])]
            members = [
                Member(
                    *(one.scope, one.key, one.prompt),
                    Settled("", one.answer, self._now, one.model, 0),
                    Provenance(one.tier, one.model, one.cost_usd, self._validators),
                    None if cut else vector,
                )
                for one, vector, cut in zip(batch, embedded.vectors, embedded.cut, strict=True)
            ]
            await filling.fill(members, dry_run=self._wish.dry_run)


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
