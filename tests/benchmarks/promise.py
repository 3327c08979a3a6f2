"""Does the promise hold, and what does it cost in hits? Over 200 random splits of each public stream.

Run it with `python -m tests.benchmarks promise`; it needs CACHEGUARD_DATA. The warm questions are in the cache of a
service; labelled and replayed ones together are split at random. As many as the stream has labelled ones tune a rule,
or half of all, and it decides on the rest. A promise is broken where more of the hits among the rest are wrong than was
promised. The rest is itself a sample, and holds the more wrong hits the fewer the labels held. So labels are also drawn
from all questions with replacement, as if these were all that could ever be asked, and the rule decides on all: there
the share of its hits that is wrong is known, and not estimated, though the rule has learned from some of them.

The oracle knows the labels of the rest, and takes the loosest threshold that keeps the promise there. Few labels prove
little, whatever the method: 299 hits of which none is wrong prove 1 %. What is provable is served by one who knows
beforehand which single threshold to test, and tests it by the exact binomial test: no valid choice of a threshold beats
that.

Features and guards are asked once for each question, and rules are applied to all questions at a time; the first rules
are held against those of `tune` itself.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from cacheguard.matching.confidence import EXACT, NOTHING_SIMILAR, is_near_exact
from cacheguard.matching.features import among
from cacheguard.matching.guards import first_veto
from cacheguard.tuning.guarantee import choose, most_provable
from cacheguard.tuning.tuning import Promise, Seen, tune
from tests.benchmarks.counting import Decisions, Listing, Listings, percent
from tests.benchmarks.filled import GUARDED, filled, remember_lessons, stream
from tests.benchmarks.threshold import SETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.confidence import ConfidenceModel
    from cacheguard.tuning.labels import Labelled
    from cacheguard.tuning.tuning import Fit

SPLITS = 200
PROMISES = (0.01, 0.02, 0.05)
CONFIDENCE = 0.95
FOLDS = 5
CHECKED = 1
HEADINGS = (
    "set",
    "labels",
    "promise",
    "broken %",
    "allowed %",
    "broken where proven %",
    "broken by draws %",
    "hit rate %",
    "oracle's %",
    "of the oracle's %",
    "provable %",
    "no proof %",
)


class Chosen(NamedTuple):
    """What tells a rule of one model from another."""

    threshold: float
    trusts_exact: bool
    near_exact: bool
    is_proven: bool


class Best(NamedTuple):
    """For some questions, the answer that would be served if any confidence were enough; (n,) each."""

    sure: NDArray[np.float64]
    right: NDArray[np.bool_]
    exact: NDArray[np.bool_]
    near: NDArray[np.bool_]


class Split(NamedTuple):
    """How a rule did on questions that nobody had shown it. possible, provable: hit rates of the oracle, and of what
    the labels prove to one who knows which threshold to test.
    """

    asked: int
    hits: int
    wrong: int
    possible: float
    provable: float
    is_proven: bool


class Figured:
    """All that a rule wants to know of questions and the answers near them, one row for each answer of a question."""

    def __init__(self, questions: Sequence[Labelled], model: ConfidenceModel) -> None:
        """model: any of the route's; all share its head."""
        assert model.head is not None
        rows, right, vetoed, near_exact, exact, self.first = [], [], [], [], [], [0]
        self.now = time.time()
        for one in questions:
            text, near = one.question.text, {match.answer.id: match for match in reversed(one.matches)}
            ids = list(dict.fromkeys(match.answer.id for match in one.matches))
            rows.append(np.hstack([among(text, one.matches), model.head.features(text, one.vector, ids)]))
            for id_ in ids:
                phrasings = [match for match in one.matches if match.answer.id == id_]
                vetoed.append(bool(first_veto(one.question, phrasings, GUARDED, self.now)))
                right.append(bool(one.fits(near[id_].answer)))
                near_exact.append(is_near_exact(one.question, phrasings))
                exact.append(near[id_].exact)
            self.first.append(len(right))
        self.rows, self.vetoed = np.concatenate(rows), np.array(vetoed)
        self.right, self.exact, self.near = np.array(right), np.array(exact), np.array(near_exact)
        self.owner = np.repeat(np.arange(len(questions)), np.diff(self.first))

    def best(self, model: ConfidenceModel, *, trusts_exact: bool) -> Best:
        """Of every question."""
        headed = model.headed
        assert headed is not None
        sure = 1 / (1 + np.exp(-(headed.logits(self.rows).sum(axis=1) + headed.bias)))
        if trusts_exact:
            sure = np.where(self.exact, np.maximum(sure, EXACT), sure)
        allowed = np.where(self.vetoed, 0.0, sure)
        order = np.lexsort((-allowed, self.owner))[self.first[:-1]]
        return Best(allowed[order], self.right[order] & ~self.vetoed[order], self.exact[order], self.near[order])


def measure() -> Listings:
    return asyncio.run(_measure())


async def _measure() -> Listings:
    rows = []
    for name in SETS:
        async with filled(name) as cache:
            few = await cache.labelled(stream(name, "labelled"))
            everything = [*few, *await cache.labelled(stream(name, "replay"))]
            fit = await cache.fit()
        remember_lessons()
        figured = Figured(everything, fit([]))
        for many in (len(few), len(everything) // 2):
            found = retest(figured, everything, many, fit)
            drawn = retest(figured, everything, many, fit, by_draws=True)
            rows += [
                [name, f"{many:,}", f"{max_wrong:.0%}", *figures(splits, drawn[max_wrong], max_wrong)]
                for max_wrong, splits in found.items()
            ]
    return Listings([Listing(f"promises over {SPLITS} splits", HEADINGS, rows)])


def retest(
    figured: Figured, everything: Sequence[Labelled], few: int, fit: Fit, *, by_draws: bool = False
) -> dict[float, list[Split]]:
    """few: how many questions tune a rule; the rest are asked. by_draws: they are drawn again and again from all, and
    all are asked.
    """
    chance = np.random.default_rng(0)
    found: dict[float, list[Split]] = {max_wrong: [] for max_wrong in PROMISES}
    for split in track(range(SPLITS), "splits", console=Console(stderr=True), transient=True):
        order = chance.permutation(len(everything))
        labelled, asked = (chance.choice(order, few), order) if by_draws else (order[:few], order[few:])
        taught = [everything[at] for at in labelled]
        folds = held_out(figured, labelled, everything, fit)
        model = fit(taught)
        replayed = {trusts: at(figured.best(model, trusts_exact=trusts), asked) for trusts in (False, True)}
        for max_wrong in PROMISES:
            rule = chosen(folds, max_wrong)
            if split < CHECKED:
                check(rule, taught, fit, max_wrong, figured.now)
            known = folds[rule.trusts_exact]
            provable = most_provable(known.sure, known.right, max_wrong, CONFIDENCE)
            found[max_wrong].append(outcome(rule, replayed[rule.trusts_exact], max_wrong, provable))
    return found


def held_out(
    figured: Figured, labelled: NDArray[np.int64], everything: Sequence[Labelled], fit: Fit
) -> dict[bool, Best]:
    """As `tune` judges its labels: each by a model that the others taught; by whether exact matches are trusted."""
    parts: dict[bool, list[Best]] = {False: [], True: []}
    for fold in range(FOLDS):
        others = np.arange(len(labelled)) % FOLDS != fold
        model = fit([everything[one] for one in labelled[others]])
        for trusts, found in parts.items():
            best = at(figured.best(model, trusts_exact=trusts), labelled[~others])
            found.append(best._replace(sure=np.where(best.exact & trusts & (best.sure > 0), 1.0, best.sure)))
    return {trusts: Best(*map(np.concatenate, zip(*found, strict=True))) for trusts, found in parts.items()}


def at(best: Best, places: NDArray[np.int64]) -> Best:
    return Best(*(column[places] for column in best))


def chosen(folds: dict[bool, Best], max_wrong: float) -> Chosen:
    """As `tune` chooses."""

    def allow(best: Best, which: NDArray[np.bool_], expected: float = 0.0) -> bool:
        return Seen(int(which.sum()), int((which & ~best.right).sum()), expected).allows(max_wrong)

    exact = folds[True].exact & (folds[True].sure > 0)
    trusts = allow(folds[True], exact, float((1 - folds[False].sure * folds[False].exact)[exact].sum()))
    best = folds[trusts]
    choice = choose(best.sure, best.right, max_wrong, CONFIDENCE)
    if choice.chosen:
        return Chosen(choice.chosen.threshold, trusts, near_exact=False, is_proven=True)
    is_near = trusts and allow(best, (best.exact | best.near) & (best.sure > 0))
    return Chosen(NOTHING_SIMILAR, trusts, is_near, is_proven=False)


def check(rule: Chosen, labelled: Sequence[Labelled], fit: Fit, max_wrong: float, now: float) -> None:
    """now: that of the figures, since answers are older a moment later, and a guard looks at their age."""
    tuned = tune(labelled, fit, GUARDED, Promise(max_wrong, CONFIDENCE), now)
    same = Chosen(tuned.rule.threshold, tuned.rule.trusts_exact, tuned.rule.near_exact, tuned.choice.chosen is not None)
    if not math.isclose(rule.threshold, same.threshold, rel_tol=1e-9) or rule[1:] != same[1:]:
        raise AssertionError(f"`tune` chooses {same}, and this {rule}: one of them has changed")


def outcome(rule: Chosen, best: Best, max_wrong: float, provable: float | None) -> Split:
    """provable: the threshold that one would take who knows which to test."""
    trusted = best.exact & rule.trusts_exact
    hit = ((best.sure >= rule.threshold) & (rule.threshold < NOTHING_SIMILAR)) | trusted
    if rule.near_exact:
        hit |= best.near
    hit &= best.sure > 0
    most = hit if provable is None else ((best.sure >= provable) | trusted) & (best.sure > 0)
    possible = Decisions(best.sure, best.right).hit_rate_at(max_wrong)
    return Split(len(hit), int(hit.sum()), int((hit & ~best.right).sum()), possible, float(most.mean()), rule.is_proven)


def figures(splits: Sequence[Split], drawn: Sequence[Split], max_wrong: float) -> list[str]:
    """allowed: the share that may break the promise, and two standard deviations of such a share of so many splits."""

    def share_broken(of: Sequence[Split]) -> float:
        return sum(split.wrong > max_wrong * split.hits for split in of) / max(1, len(of))

    count = len(splits)
    allowed = 1 - CONFIDENCE + 2 * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / count)
    rate = sum(split.hits / split.asked for split in splits) / count
    possible = sum(split.possible for split in splits) / count
    provable = sum(split.provable for split in splits) / count
    proven = [split for split in splits if split.is_proven]
    unproven = sum(not split.is_proven for split in splits) / count
    broken = share_broken(splits), allowed, share_broken(proven), share_broken(drawn)
    shares = (*broken, rate, possible, rate / possible, provable, unproven)
    return [percent(share) for share in shares]
