"""Networks learn from a route's pairs what a cosine can't tell, and only where there are enough of them."""

import numpy as np
import pytest

from cacheguard.matching.confidence import ConfidenceModel, default_model
from cacheguard.matching.decide import Match
from cacheguard.question import Question
from cacheguard.tuning import likenesses
from cacheguard.tuning.labels import Labelled, Verdicts
from cacheguard.tuning.likenesses import Pairs, said, teach, with_likeness
from cacheguard.types import Answer, Origin, Phrasing, Provenance

DIMENSION = 16
THINGS = ("order", "parcel", "refund", "card", "invoice", "voucher")


def pair(number):
    """Two questions, near or not: they ask the same where their numbers are equal, which no vector tells."""
    chance = np.random.default_rng(number)
    thing, same = THINGS[number % len(THINGS)], bool(chance.random() < 0.5)
    ours = int(chance.integers(10, 99))
    asked, known = f"where is {thing} {ours}", f"where do I find {thing} {ours if same else ours + 1}"
    vector, its = (one / np.linalg.norm(one) for one in chance.normal(size=(2, DIMENSION)) + 2)
    phrasing = Phrasing(number, "other", "scope", known, known, Origin.LOG, 0)
    answer = Answer("other", "scope", "", "", "", Provenance("log"), 0, 0)
    match = Match(phrasing, answer, float(vector @ its), vector=its.astype(np.float32))
    verdicts = Verdicts(frozenset(["other"] if same else []))
    return Labelled(Question(asked, asked), vector.astype(np.float32), (match,), verdicts)


@pytest.fixture(scope="module")
def labelled():
    return [pair(number) for number in range(1_200)]


@pytest.fixture
def few_are_enough(monkeypatch):
    monkeypatch.setattr(likenesses, "LEAST_PAIRS", 500)


def test_networks_learn_what_the_cosine_can_not_tell(labelled):
    taught = teach(Pairs.of(labelled[:900]), networks=1)
    rest = Pairs.of(labelled[900:])
    assert ((said(taught, rest) > 0) == rest.right).mean() > 0.9


def test_the_same_pairs_teach_the_same(labelled):
    one, other = (teach(Pairs.of(labelled[:300]), networks=1) for _ in range(2))
    assert one.to_json() == other.to_json()


@pytest.mark.usefixtures("few_are_enough")
def test_a_lone_phrasing_is_weighed_by_what_the_pairs_taught(labelled):
    model = with_likeness(default_model(), labelled[:900])
    assert model.likened is not None
    assert (model.likened.weights >= 0).all()
    again = ConfidenceModel.from_json(model.to_json())
    for one in labelled[900:950]:
        (weighed,) = model.weigh(one.question.text, one.matches, one.vector)
        (reread,) = again.weigh(one.question.text, one.matches, one.vector)
        assert {*weighed.because} == {"similarity", "likeness"}
        assert weighed.confidence == pytest.approx(reread.confidence, abs=0.05)
        assert (weighed.confidence > 0.5) == one.fits(one.matches[0].answer)


@pytest.mark.usefixtures("few_are_enough")
def test_answers_among_others_are_weighed_as_before(labelled):
    model = with_likeness(default_model(), labelled[:900])
    among = [labelled[900].matches[0], labelled[901].matches[0]]
    assert model.weigh("where is it", among, labelled[900].vector) == default_model().weigh("where is it", among)


def test_few_pairs_teach_no_network(labelled):
    assert with_likeness(default_model(), labelled) is default_model()


@pytest.mark.usefixtures("few_are_enough")
def test_questions_with_several_phrasings_near_are_no_pairs(labelled):
    among = [Labelled(one.question, one.vector, (*one.matches, *labelled[0].matches), one.verdicts) for one in labelled]
    assert with_likeness(default_model(), among) is default_model()
