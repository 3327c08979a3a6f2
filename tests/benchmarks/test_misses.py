from __future__ import annotations

from itertools import islice

import pytest

from tests.benchmarks.asking import QUESTIONS
from tests.benchmarks.load import WrongAnswer
from tests.benchmarks.misses import NewQuestions, Subject, get, running_provider


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with running_provider(tmp_path_factory.mktemp("provider"), cores=set()) as port:
        yield port


def test_no_question_is_asked_twice():
    questions = NewQuestions({})
    asked = list(islice(questions, 2 * QUESTIONS))
    assert questions.made == len(set(asked)) == len(asked)


def test_the_provider_counts_every_call(provider):
    questions = NewQuestions({})
    before = get(provider, "/calls")
    Subject("direct", provider, provider, questions).ask(connections=8, seconds=0.05)
    assert get(provider, "/calls") - before == questions.made


def test_answers_that_no_call_stands_behind_fail_the_run(provider, tmp_path):
    with running_provider(tmp_path, cores=set()) as another, pytest.raises(WrongAnswer, match="but 0 calls"):
        Subject("a cache", another, provider, NewQuestions({})).ask(connections=1, seconds=0.05)
