"""From labels to a rule, on questions about nothing: an answer is a direction, its phrasings lie around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cacheguard.matching.confidence import NOTHING_SIMILAR, default_model
from cacheguard.matching.decide import Match
from cacheguard.question import Question
from cacheguard.tuning.labels import Labelled, Verdicts
from cacheguard.tuning.tuning import Promise, Seen, Served, fit_for, tune
from cacheguard.types import Answer, Origin, Phrasing, Provenance

NOW = 1_800_000_000.0
DIMENSION = 64
PER_ANSWER = 6


class World:
    """Answers, their phrasings, and people who ask. noise: how far a phrasing lies from its answer."""

    def __init__(self, answers=20, noise=0.8, seed=1):
        self.chance = np.random.default_rng(seed)
        self.noise = noise
        self.centres = unit(self.chance.normal(size=(answers, DIMENSION)))
        self.known = [self._phrasing(at) for at in range(answers) for _ in range(PER_ANSWER)]

    def asks(self, count, unanswered=0.2, **said):
        """Labelled questions, some of which no answer fits."""
        return [self._asked(at, self.chance.random() < unanswered, **said) for at in range(count)]

    def asks_again(self, count, right):
        """The very words of phrasings."""
        found = []
        for at, match in enumerate(self.known[:count]):
            name = match.answer.id if right else "another"
            question = Question(match.phrasing.text, match.phrasing.key)
            found.append(Labelled(question, match.vector, self._near(match.vector, match), named(name), at=float(at)))
        return found

    def _asked(self, at, is_unanswered, **said):
        answer = int(self.chance.integers(len(self.centres)))
        centre = unit(self.chance.normal(size=DIMENSION)) if is_unanswered else self.centres[answer]
        vector = self._around(centre)
        right = named("elsewhere" if is_unanswered else f"answer {answer}")
        return Labelled(Question(f"question {at}?", f"question {at}"), vector, self._near(vector), right, **said)

    def _phrasing(self, at):
        answer = Answer(f"answer {at}", "s", "t", "r", "", Provenance("log"), NOW, NOW)
        number = int(self.chance.integers(1 << 40))
        phrasing = Phrasing(number, answer.id, "s", f"phrasing {number}", f"phrasing {number}", Origin.LOG, NOW)
        return Match(phrasing, answer, 1.0, vector=self._around(self.centres[at]))

    def _around(self, centre):
        return unit(centre + self.noise * unit(self.chance.normal(size=DIMENSION))).astype(np.float32)

    def _near(self, vector, exact=None):
        matches = [
            Match(one.phrasing, one.answer, float(one.vector @ vector), one is exact, one.vector) for one in self.known
        ]
        return tuple(sorted(matches, key=lambda match: -match.similarity)[:20])


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def named(name):
    return Verdicts(frozenset([name]))


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def asked(world):
    return world.asks(600)


def shares(rule, asked):
    """Of questions: how many the rule serves, and how many of those are wrong."""
    served = [
        next((one for one in rule.judge(q.question, q.matches, NOW, q.vector) if one.accepted), None) for q in asked
    ]
    wrong = sum(not q.fits(one.match.answer) for q, one in zip(asked, served, strict=True) if one)
    hits = sum(one is not None for one in served)
    return hits / len(asked), wrong / max(1, hits)


def test_the_promise_holds_for_questions_that_nobody_labelled(world, asked):
    tuned = tune(asked, fit_for(world.known), (), Promise(0.05, 0.95), NOW)
    hit_rate, wrong = shares(tuned.rule, world.asks(2000))
    assert tuned.rule.threshold == tuned.choice.chosen.threshold
    assert not tuned.rule.near_exact
    assert wrong <= 0.05
    assert hit_rate == pytest.approx(tuned.choice.chosen.served / 600, abs=0.06)


def test_what_pairs_prove_is_proven_of_lone_phrasings_only(world, asked):
    pairs = [replace(one, matches=one.matches[:1]) for one in asked]
    tuned = tune(pairs, fit_for(world.known), (), Promise(0.05, 0.95), NOW)
    assert tuned.of_lone
    assert tuned.rule.lone_threshold == tuned.threshold == tuned.choice.chosen.threshold
    assert tuned.rule.threshold == NOTHING_SIMILAR
    assert shares(tuned.rule, pairs)[0] > 0.3
    assert shares(tuned.rule, asked)[0] == 0


def test_what_questions_among_answers_prove_is_not_proven_of_lone_phrasings(world, asked):
    pairs = [replace(one, matches=one.matches[:1]) for one in asked[:100]]
    tuned = tune([*asked, *pairs], fit_for(world.known), (), Promise(0.05, 0.95), NOW)
    assert not tuned.of_lone
    assert tuned.choice.asked == len(asked)
    assert tuned.rule.lone_threshold == NOTHING_SIMILAR


def test_too_few_labels_prove_nothing_and_nothing_similar_is_served(world):
    tuned = tune(world.asks(30), fit_for(world.known), (), Promise(0.05, 0.95), NOW)
    assert tuned.choice.chosen is None
    assert (tuned.rule.threshold, tuned.rule.trusts_exact, tuned.rule.near_exact) == (NOTHING_SIMILAR, True, True)
    assert shares(tuned.rule, world.asks(500))[0] == 0


def test_equal_texts_are_not_trusted_where_labels_speak_against_it(world, asked):
    contradicted = tune([*asked, *world.asks_again(20, right=False)], fit_for([]), (), Promise(0.05, 0.95), NOW)
    assert (contradicted.exact.asked, contradicted.exact.wrong) == (20, 20)
    assert not contradicted.rule.trusts_exact
    confirmed = tune([*asked, *world.asks_again(20, right=True)], fit_for([]), (), Promise(0.05, 0.95), NOW)
    assert (confirmed.exact.asked, confirmed.exact.wrong) == (20, 0)
    assert confirmed.rule.trusts_exact


def test_equal_texts_are_not_trusted_because_the_few_that_were_labelled_happen_to_be_right(world, asked):
    """Of what is as near, most is wrong."""
    again = world.asks_again(100, right=False)
    as_near = [replace(one, matches=tuple(match._replace(exact=False) for match in one.matches)) for one in again[:95]]
    lucky = [replace(one, verdicts=named(one.matches[0].answer.id)) for one in again[95:]]
    tuned = tune([*asked, *as_near, *lucky], fit_for([]), (), Promise(0.05, 0.95), NOW)
    assert (tuned.exact.asked, tuned.exact.wrong) == (5, 0)
    assert tuned.exact.expected > 0.5
    assert not tuned.rule.trusts_exact


def test_many_labels_of_equal_texts_outweigh_what_confidences_expect():
    assert not Seen(20, 0, expected=3).allows(0.05)
    assert Seen(200, 0, expected=30).allows(0.05)
    assert not Seen(200, 11, expected=0).allows(0.05)


def test_equal_texts_that_are_often_wrong_count_against_the_promise(world):
    """Nothing else is asked: what is proven must be proven of them."""
    asked = [*world.asks_again(100, right=True), *world.asks_again(20, right=False)]
    tuned = tune(asked, fit_for([]), (), Promise(0.05, 0.95), NOW)
    assert tuned.choice.chosen is None
    assert not tuned.rule.near_exact
    assert shares(tuned.rule, asked)[0] == 0


def test_the_same_words_are_served_unproven_unless_labels_speak_against_it(world):
    def asks_in_the_same_words(right):
        return [
            replace(
                one,
                question=Question("Please, where is my card?", "please, where is my card"),
                matches=(known._replace(phrasing=replace(known.phrasing, text="Where's my card?"), exact=False),),
            )
            for one in world.asks_again(20, right)
            for known in one.matches[:1]
        ]

    confirmed, contradicted = (
        tune([*world.asks(30), *asks_in_the_same_words(right)], fit_for([]), (), Promise(0.01, 0.95), NOW)
        for right in (True, False)
    )
    assert (confirmed.near, confirmed.rule.near_exact) == (Seen(20, 0), True)
    assert (contradicted.near, contradicted.rule.near_exact) == (Seen(20, 20), False)
    assert contradicted.rule.trusts_exact


def test_complaints_teach_but_prove_nothing(world, asked):
    complaints = world.asks(200, unanswered=1.0, is_complaint=True)
    tuned = tune([*asked, *complaints], fit_for(world.known), (), Promise(0.05, 0.95), NOW)
    assert tuned.choice.asked == 600
    assert tuned.rule.model.provenance["labels"] == 800


def test_the_same_labels_give_the_same_rule(world, asked):
    first, second = (tune(asked, fit_for(world.known), (), Promise(0.05, 0.95), NOW) for _ in range(2))
    assert first.choice == second.choice
    assert first.rule.model.to_json() == second.rule.model.to_json()


def test_a_cache_of_few_phrasings_keeps_the_shipped_models_features(world):
    assert fit_for([])(world.asks(5)).head is None
    assert fit_for(world.known[:12])(world.asks(5)).head is None
    assert fit_for(world.known)(world.asks(5)).head is not None
    assert fit_for([])([]).among.weights == pytest.approx(default_model().among.weights)


def test_what_nobody_said_is_not_counted():
    seen = Seen.of([Served(0.9, is_right=True), Served(0.9, is_right=None), Served(0.9, is_right=False)])
    assert seen == Seen(asked=2, wrong=1)
    assert seen.allows(0.5)
    assert not seen.allows(0.4)
    assert Seen(0, 0).allows(0.01)
