"""A doubtful answer is looked at again by a model that was taught the route's questions; in doubt it is a miss."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
from small_models import ASKED, OTHERS, easy_pairs, save_small_model

from cacheguard.errors import ConfigError, FileUnusable
from cacheguard.matching.confidence import Calibrated, ConfidenceModel, Logistic
from cacheguard.matching.decide import Hit, Judged, Match, Miss, decide
from cacheguard.matching.features import ALONE, AMONG
from cacheguard.matching.freshness import NO_DIRECTIVES, Terms
from cacheguard.question import Question, fold
from cacheguard.second_look import NO_SECOND_LOOK, ReadTogether
from cacheguard.settings import Cache
from cacheguard.tuning.labels import Labelled, Verdicts
from cacheguard.tuning.second_look import WEIGHTS_FILE, Teaching, pairs_of, read_weights, teach
from cacheguard.types import Answer, Origin, Phrasing, Provenance
from cacheguard.wiring.second_look import open_second_look
from embeddings.cross_encoder import CrossEncoder
from embeddings.fine_tuning import read_cross_encoder

NOW = 1_800_000_000.0
TERMS = Terms(86400, 0, 0)


def doubting(threshold=0.75):
    """A rule that knows nothing but the cosine, and finds every answer of these tests 69 % sure."""
    alone, among = (
        Logistic(features, np.eye(len(features))[0], np.zeros(len(features)), np.ones(len(features)), 0.0)
        for features in (ALONE, AMONG)
    )
    return Calibrated(ConfidenceModel(among, alone, {}), threshold)


def known(text, answer_id="a"):
    answer = Answer(answer_id, "s", "t", "r", "An answer.", Provenance("log"), NOW, NOW)
    return Match(Phrasing(1, answer_id, "s", fold(text), text, Origin.LOG, NOW), answer, 0.8)


def labelled(asked, text, *, same):
    names = frozenset(["a" if same else "b"])
    return Labelled(Question(asked, fold(asked)), np.empty(0, np.float32), (known(text),), Verdicts(names))


class Counts(list):
    """What was reported."""

    def looked_again(self, route, outcome):
        self.append((route, outcome))

    def cache_broke(self, step, error):
        self.append((step, type(error).__name__))


class Slow:
    """A model that says nothing until the test is over: no real one is sure to be too slow."""

    def __init__(self):
        self.over = threading.Event()

    def score(self, text, others):  # noqa: ARG002 - the protocol's
        self.over.wait()
        return np.zeros(len(others), np.float32)


class Broken:
    """A model that fails: a real one has no failure that could be ordered."""

    def score(self, text, others):  # noqa: ARG002 - the protocol's
        raise RuntimeError("out of memory")


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """The folder of a look, and what came of teaching it."""
    pytest.importorskip("torch")
    small = save_small_model(tmp_path_factory.mktemp("model"), "mean")
    folder = tmp_path_factory.mktemp("look")
    pairs = list(pairs_of(labelled(asked, text, same=same) for asked, text, same in easy_pairs(3000)))
    proving = [labelled(asked, text, same=same) for asked, text, same in easy_pairs(40)]
    return folder, teach(pairs, proving, doubting(), Teaching(str(small), 5, NOW), folder)


@pytest.fixture
async def look_with(taught):
    """A function that makes a look with that model, or with a scorer that is worse."""
    folder, _ = taught
    made = []

    def make(scorer=None, budget_s=60.0, min_confidence=0.5):
        counts = Counts()
        scorer = scorer or CrossEncoder(read_cross_encoder(folder))
        limits = {"min_confidence": min_confidence, "budget_s": budget_s}
        made.append(ReadTogether(scorer, read_weights(folder), counts, route="r", **limits))
        return made[-1], counts

    yield make
    for look in made:
        await look.aclose()


async def decision(look, asked, text, rule=None):
    rule, question, matches = rule or doubting(), Question(asked, fold(asked)), [known(text)]
    judged = await look.look(question, matches, rule.judge(question, matches, NOW), rule, NOW)
    return decide(judged, terms=TERMS, directives=NO_DIRECTIVES, now=NOW)


async def test_a_near_miss_that_asks_the_same_becomes_a_hit(look_with):
    look, counts = look_with()
    assert isinstance(await decision(NO_SECOND_LOOK, ASKED, ASKED), Miss)
    found = await decision(look, ASKED, ASKED)
    assert isinstance(found, Hit)
    assert found.judged.confidence >= 0.75
    assert set(found.judged.because) == {"confidence", "read_together", "rival"}
    assert counts == [("r", "hit")]


async def test_one_that_asks_something_else_stays_a_miss_and_is_less_sure(look_with):
    look, counts = look_with()
    found = await decision(look, ASKED, OTHERS[0])
    assert isinstance(found, Miss)
    assert found.judged.confidence < 0.69
    assert counts == [("r", "miss")]


async def test_what_is_not_said_in_time_is_not_served(look_with):
    slow = Slow()
    look, counts = look_with(slow, budget_s=0.01)
    try:
        assert isinstance(await decision(look, ASKED, ASKED), Miss)
    finally:
        slow.over.set()
    assert counts == [("r", "late")]


async def test_a_broken_look_is_a_miss_and_is_counted(look_with):
    look, counts = look_with(Broken())
    assert isinstance(await decision(look, ASKED, ASKED), Miss)
    assert counts == [("r", "broken"), ("second-look", "RuntimeError")]


async def test_what_is_longer_than_the_model_reads_is_a_miss(look_with):
    look, counts = look_with()
    assert isinstance(await decision(look, ASKED, "card " * 500), Miss)
    assert counts[0] == ("r", "broken")


@pytest.mark.parametrize(("threshold", "least"), [(0.6, 0.5), (0.75, 0.7)])
async def test_only_the_band_is_looked_at(look_with, threshold, least):
    look, counts = look_with(min_confidence=least)
    rule = doubting(threshold)
    assert isinstance(await decision(look, ASKED, ASKED, rule), Hit if threshold < 0.69 else Miss)
    assert counts == []


async def test_what_a_guard_objects_to_is_not_looked_at(look_with):
    look, counts = look_with()
    judged = [Judged(known(ASKED), 0.7, accepted=False, veto="numbers")]
    assert await look.look(Question(ASKED, ASKED), [known(ASKED)], judged, doubting(), NOW) == judged
    assert counts == []


async def test_whoever_leaves_is_not_waited_for(look_with):
    slow = Slow()
    look, counts = look_with(slow)
    asking = asyncio.create_task(decision(look, ASKED, ASKED))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    slow.over.set()
    assert counts == []


def test_teaching_says_what_it_was_worth(taught):
    folder, came = taught
    assert came.labels == 80
    assert came.gained > 20
    assert came.wrong < came.gained / 4
    assert (folder / WEIGHTS_FILE).is_file()


def test_too_few_labels_teach_nothing_and_say_so(tmp_path):
    few = [labelled(ASKED, ASKED, same=True)] * 10
    with pytest.raises(FileUnusable, match="label more"):
        teach([], few, doubting(), Teaching("bundled", 1, NOW), tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_settings_open_the_look_that_they_name(taught):
    look = await open_second_look("r", Cache(second_look={"model": taught[0], "budget_ms": 60_000}), Counts())
    assert isinstance(await decision(look, ASKED, ASKED), Hit)
    await look.aclose()
    assert await open_second_look("r", Cache(), Counts()) is NO_SECOND_LOOK


async def test_a_folder_without_a_look_stops_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"routes.r.cache.second_look.model: .* train one"):
        await open_second_look("r", Cache(second_look={"model": Path(tmp_path)}), Counts())
