"""Questions and the phrasings near them, as the guards see them."""

from __future__ import annotations

import pytest

from cacheguard.matching.decide import Match
from cacheguard.matching.guards import GUARDS
from cacheguard.question import Question, fold
from cacheguard.types import Answer, Origin, Phrasing, Provenance

NOW = 1_767_225_600.0  # the first second of 2026


@pytest.fixture
def objects():
    """Whether a guard objects to the answer that has these phrasings, nearest first, and is this old."""

    def ask(guard, asked, *known, age_s=0.0):
        answer = Answer("a", "scope", "acme", "faq", "Yes.", Provenance("strong"), 0, NOW - age_s)
        question = Question(asked, fold(asked))
        phrasings = [Phrasing(at, "a", "scope", fold(text), text, Origin.LOG, 0) for at, text in enumerate(known, 1)]
        matches = [Match(phrasing, answer, 0.9, exact=phrasing.key == question.key) for phrasing in phrasings]
        return GUARDS[guard]().objects(question, matches, NOW)

    return ask
