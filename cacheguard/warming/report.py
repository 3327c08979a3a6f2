"""What came of a warming."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from cacheguard.lines import BadLine

if TYPE_CHECKING:
    from collections.abc import Mapping

# Examples that a report shows; the rest is counted.
SHOWN = 100


@dataclass(frozen=True, slots=True)
class Rejected:
    """A question, the answer that the log gave, and why a judge finds it wrong."""

    prompt: str
    answer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A question with answers that contradict each other, so that at least one of them is wrong.

    answers: two of them, by their ids in the log or by their texts. other: another question that seems to ask the same,
    "" where one question alone has both answers.
    """

    prompt: str
    answers: tuple[str, str]
    other: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a cache filled from the older nine tenths of the log would have made of the newest tenth.

    asked: its questions. exact, similar: those served. wrong: those served an answer that the log contradicts.
    within_reach: those not served, though what came nearest has the right answer: what a tuned rule may serve at most.
    """

    asked: int
    exact: int
    similar: int
    wrong: int
    within_reach: int = 0

    @property
    def served(self) -> int:
        return self.exact + self.similar


@dataclass(slots=True)
class Report:
    """Counts of exchanges and questions, and examples of what was left out.

    lines: what was read, bad lines too. left_out: by reason. folded: exchanges whose question had come before.
    questions: different ones; rare: those asked too seldom. groups: answers that they come to.
    conflicts: questions left out, whose answers contradict each other. doubts: pairs of questions that ask the same by
    all signs and stay apart, as their answers differ. withdrawn: someone called this answer wrong for this question.
    judged: answers that a model looked at; rejected: those of them that it found wrong, left out; unjudged: those that
    it gave no verdict about. renewed: questions that a tier answered anew; unanswered: those that it could not.
    spent_usd: for that. out_of_money: the limit that ended it, "" where all was done.
    fresher: the cache has a newer answer. unchanged: it had this one.
    kept: questions new to the cache, or with a new answer; exact_only of them are too long for the model, and found by
    exact matches alone. answers: new ones, and those with a new text.
    saved_usd, saved_s: what the log would have cost less, in money and waiting, had each answer been asked for once.
    """

    dry_run: bool = False
    lines: int = 0
    bad: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    folded: int = 0
    questions: int = 0
    rare: int = 0
    groups: int = 0
    conflicts: int = 0
    doubts: int = 0
    withdrawn: int = 0
    fresher: int = 0
    unchanged: int = 0
    kept: int = 0
    exact_only: int = 0
    answers: int = 0
    judged: int = 0
    rejected: int = 0
    unjudged: int = 0
    renewed: int = 0
    unanswered: int = 0
    spent_usd: float = 0.0
    out_of_money: str = ""
    saved_usd: float = 0.0
    saved_s: float = 0.0
    estimate: Estimate | None = None
    seconds: float = 0.0
    bad_lines: list[BadLine] = field(default_factory=list)
    bad_lines_file: str = ""
    conflicting: list[Conflict] = field(default_factory=list)
    doubtful: list[Conflict] = field(default_factory=list)
    rejecting: list[Rejected] = field(default_factory=list)

    def add_bad(self, line: BadLine) -> None:
        self.bad += 1
        if len(self.bad_lines) < SHOWN:
            self.bad_lines.append(line)

    def leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def add_conflict(self, conflict: Conflict) -> None:
        self.conflicts += 1
        if len(self.conflicting) < SHOWN:
            self.conflicting.append(conflict)

    def add_doubt(self, conflict: Conflict) -> None:
        self.doubts += 1
        if len(self.doubtful) < SHOWN:
            self.doubtful.append(conflict)

    def add_rejected(self, one: Rejected) -> None:
        self.rejected += 1
        if len(self.rejecting) < SHOWN:
            self.rejecting.append(one)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Report:
        """Of what as_json gave."""
        made = cls(**fields)
        made.bad_lines = [BadLine(**line) for line in fields["bad_lines"]]
        made.conflicting = [_conflict(one) for one in fields["conflicting"]]
        made.doubtful = [_conflict(one) for one in fields["doubtful"]]
        made.rejecting = [Rejected(**one) for one in fields["rejecting"]]
        made.estimate = Estimate(**fields["estimate"]) if fields["estimate"] else None
        return made


def _conflict(fields: Mapping[str, Any]) -> Conflict:
    return Conflict(fields["prompt"], tuple(fields["answers"]), fields["other"])
