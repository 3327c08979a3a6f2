"""What `cacheguard warm` makes of real questions: `python -m tests.benchmarks.warming [PART...]`, with CACHEGUARD_DATA.

The log: questions of qqp_a, drawn by Zipf's law, with noise, 1 % broken lines, and answers that are worded anew each
time; and the dialogs of CAsT as chats. Duplicates by qqp_a's labels have one answer.

- rate: different questions a second, beside the embedder alone, before and after, in one run.
- memory: the most that the command holds, for 80,000 and 800,000 lines.
- kills: the command, killed five times at random and resumed, beside one that was left alone.
- grouping: vira and banking77 without ids: what is grouped, and the hits that come of it.
- estimate: hit rate and wrong hits as the report expects them, beside a replay of the newest tenth.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from cacheguard.matching.confidence import Calibrated, default_model
from cacheguard.place import Place
from cacheguard.scoring import Scoring
from cacheguard.settings import Settings
from cacheguard.stores.base import Filter
from cacheguard.warming.pipeline import warm
from cacheguard.wiring import running
from tests.benchmarks.counting import LIMITS, Decisions, Listing, percent
from tests.benchmarks.filled import ROUTE, TENANT, Filled, Unseen
from tests.benchmarks.logs_made import cluster_in, worded, write_chats, write_log, write_stream
from tests.benchmarks.processes import PROGRAM
from tests.benchmarks.threshold import DATA, SETS
from tests.benchmarks.warming_kills import environment, kills

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

LINES = 80_000
# Questions that the embedder alone embeds before the warming, and again after it.
ALONE = 4_000


def main() -> None:
    parts = {"rate": rate, "memory": memory, "kills": kills, "grouping": grouping, "estimate": estimate}
    wanted = [name for name in sys.argv[1:] if name in parts] or list(parts)
    for name in wanted:
        with TemporaryDirectory(prefix="cacheguard-warming-") as folder:
            Console().print(parts[name](Path(folder)).table())


def rate(folder: Path) -> Listing:
    return asyncio.run(_rate(write_log(folder / "log.jsonl", LINES), write_chats(folder / "chats.jsonl")))


async def _rate(log: Path, chats: Path) -> Listing:
    async with service(log.parent) as filled:
        place, store, embedder = filled.place, filled.service.store, filled.service.embedder
        with gzip.open(DATA / "pairs" / "qqp_a.tsv.gz", "rt", encoding="utf-8") as lines:
            questions = [line.split("\t")[1] for _, line in zip(range(ALONE + 1), lines, strict=False)][1:]

        async def alone() -> float:
            begun, worked[:] = time.perf_counter(), [time.process_time()]
            await asyncio.gather(*(embedder.embed(questions[at : at + 1024]) for at in range(0, ALONE, 1024)))
            worked.append(time.process_time())
            return ALONE / (time.perf_counter() - begun)

        worked: list[float] = []  # processor seconds at the beginning and the end of it
        await embedder.embed(questions[:64])
        before = await alone()
        whole_from = time.process_time()
        report = await warm([log, chats], place, store, embedder, now=time.time(), progress=(clock := Clock()))
        whole_s, taken = time.process_time() - whole_from, clock.taken()
        after = await alone()
    alone_ms = 1e3 * (worked[1] - worked[0]) / ALONE
    embedded = report.questions - report.conflicts
    whole, embedder_rate = embedded / report.seconds, (before + after) / 2
    rows = [
        ["lines", f"{report.lines:,}"],
        ["bad", f"{report.bad:,}"],
        ["left out", f"{sum(report.left_out.values()):,}"],
        ["different questions", f"{report.questions:,}"],
        ["answers", f"{report.groups:,}"],
        ["seconds", f"{report.seconds:.1f}"],
        *([f"- {what.lower()}", f"{seconds:.1f}"] for what, seconds in taken.items()),
        ["questions a second", f"{whole:,.0f}"],
        ["embedder alone, before / after", f"{before:,.0f} / {after:,.0f}"],
        ["beside the embedder", f"{whole / embedder_rate:.2f}"],
        ["processor ms a question, whole / embedder alone", f"{1e3 * whole_s / embedded:.2f} / {alone_ms:.2f}"],
        ["beside the embedder, by processor time", f"{alone_ms * embedded / 1e3 / whole_s:.2f}"],
    ]
    return Listing("rate", ["of the log", ""], rows)


def memory(folder: Path) -> Listing:
    rows = []
    for lines in (LINES, 10 * LINES):
        logs = [str(write_log(folder / f"{lines}.jsonl", lines)), str(write_chats(folder / "chats.jsonl"))]
        place = folder / f"run-{lines}"
        place.mkdir()
        command = [PROGRAM, "warm", *logs, "--route", ROUTE, "--report", "report.json"]
        with subprocess.Popen(command, cwd=place, env=environment(), stdout=subprocess.DEVNULL) as child:
            most_mb = peak_mb(child)
        assert child.returncode == 0, child.returncode
        report = json.loads((place / "report.json").read_text("utf-8"))
        rows.append([f"{report['lines']:,}", f"{report['questions']:,}", f"{most_mb:,.0f}", f"{report['seconds']:.0f}"])
    return Listing("memory", ["lines", "questions", "MB at most", "seconds"], rows)


def peak_mb(child: subprocess.Popen[bytes]) -> float:
    """The most memory that a process held until its end, as the kernel keeps it (VmHWM in proc(5))."""
    most_kb = 0
    while child.poll() is None:
        with suppress(OSError):
            status = Path(f"/proc/{child.pid}/status").read_text("utf-8")
            most_kb = max([most_kb, *(int(kb) for kb in re.findall(r"VmHWM:\s+(\d+) kB", status))])
        time.sleep(0.05)
    return most_kb / 1024


def grouping(folder: Path) -> Listing:
    return asyncio.run(_grouping(folder))


async def _grouping(folder: Path) -> Listing:
    rows = []
    for name in SETS:
        for how in ("ids", "answers as they are", "answers worded anew"):
            log, truth = write_stream(folder / "log.jsonl", name, how)
            async with service(folder, memory=True) as filled:
                store, embedder = filled.service.store, filled.service.embedder
                await warm([log], filled.place, store, embedder, now=time.time(), progress=Unseen())
                groups = [[truth[one.text] for one in its] async for _, its in store.answers(Filter())]
                hits = await _hits(filled, name, how)
            rows.append([name, how, *_likeness(groups), percent(*map(hits.hit_rate_at, LIMITS[1:]))])
    # Where few hits can be told from the rest, the first of these hangs on one or two questions.
    headings = ["set", "log", "answers", "purity %", "pairs together %", "hit rate % at ≤ 2 / 5 / 10 % wrong"]
    return Listing("grouping", headings, rows)


async def _hits(filled: Filled, name: str, how: str) -> Decisions:
    """Of the replay, by the model as it is shipped; right where what is nearest answers as the stream says."""
    await filled.apply(Calibrated(default_model(), 1e-6, trusts_exact=False))
    answers = {f"text:sha256:{sha256(said.encode()).hexdigest()[:32]}": id_ for said, id_ in worded(name, how)}
    rows = await filled.scored(DATA / "streams" / f"{name}.replay.jsonl.gz")
    return Decisions.of(
        [(row["confidence"], answers.get(row["nearest"], row["nearest"]) == row["answer_id"]) for row in rows]
    )


def _likeness(groups: Sequence[Sequence[str]]) -> list[str]:
    """How many groups; share of questions that are of their group's most frequent answer; share of pairs together."""
    questions = sum(map(len, groups))
    pure = sum(Counter(group).most_common(1)[0][1] for group in groups)
    of_answer: dict[str, list[int]] = defaultdict(list)
    for group in groups:
        for id_, number in Counter(group).items():
            of_answer[id_].append(number)
    together = sum(number * (number - 1) for its in of_answer.values() for number in its)
    pairs = sum(sum(its) * (sum(its) - 1) for its in of_answer.values())
    return [f"{len(groups):,}", f"{100 * pure / questions:.2f}", f"{100 * together / pairs:.1f}"]


def estimate(folder: Path) -> Listing:
    return asyncio.run(_estimate(write_log(folder / "log.jsonl", LINES // 8), folder))


async def _estimate(log: Path, folder: Path) -> Listing:
    async with service(folder, memory=True) as filled:
        into = filled.place, filled.service.store, filled.service.embedder
        report = await warm([log], *into, now=time.time(), progress=Unseen())
    older, newest = split(log)
    async with service(folder, memory=True) as filled:
        store = filled.service.store
        await warm([older], filled.place, store, filled.service.embedder, now=time.time(), progress=Unseen())
        clusters = {answer.source_id: cluster_in(answer.text) async for answer, _ in store.answers(Filter())}
        scoring = Scoring(filled.place, filled.service.corridor, filled.service.embedder)
        rows = [json.loads(row) async for row in scoring.rows(newest, Unseen().advance)]
    served = [row for row in rows if row["served"]]
    wrong = sum(clusters[row["served"]] != row["answer_id"] for row in served)
    at = report.estimate
    assert at is not None
    return Listing(
        "estimate",
        ["newest tenth", "asked", "hit rate %", "wrong"],
        [
            ["as the report expects", f"{at.asked:,}", f"{100 * at.served / at.asked:.1f}", f"{at.wrong}"],
            ["replayed", f"{len(rows):,}", f"{100 * len(served) / len(rows):.1f}", f"{wrong}"],
        ],
    )


def split(log: Path) -> tuple[Path, Path]:
    """The older nine tenths, and the newest, whose lines name what they ask as their answer_id."""
    lines = log.read_text("utf-8").splitlines(keepends=True)
    cut = len(lines) * 9 // 10
    older, newest = log.with_name("older.jsonl"), log.with_name("newest.jsonl")
    older.write_text("".join(lines[:cut]), "utf-8")
    whole = [json.loads(line) for line in lines[cut:] if line.endswith("}\n")]
    newest.write_text("".join(f"{json.dumps({**row, 'answer_id': row['cluster']})}\n" for row in whole), "utf-8")
    return older, newest


class Clock:
    """Progress that notes how long each stretch took."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, float]] = []

    def begin(self, what: str, total: int) -> None:  # noqa: ARG002 - the protocol's
        self._begun.append((what, time.perf_counter()))

    def advance(self, steps: int) -> None:
        pass

    def taken(self) -> dict[str, float]:
        ends = [*(at for _, at in self._begun[1:]), time.perf_counter()]
        return {what: end - at for (what, at), end in zip(self._begun, ends, strict=True)}


@asynccontextmanager
async def service(folder: Path, *, memory: bool = False) -> AsyncIterator[Filled]:
    settings = Settings.model_validate(
        {
            "store": {"url": "memory://" if memory else f"sqlite:///{folder}/cache.db"},
            "index": {"folder": str(folder / "index")},
            "tiers": {"sorry": {"template": "Nothing fits."}},
            "routes": {ROUTE: {"tiers": ["sorry"]}},
        }
    )
    async with running(settings) as started:
        yield Filled(started, Place(started.routes.named(ROUTE), TENANT))


if __name__ == "__main__":
    main()
