"""A head is made of what the cache holds, knows its own answers, and never judges what taught it."""

import json

import numpy as np
import pytest

from cacheguard.matching.confidence import ConfidenceModel, default_model
from cacheguard.matching.decide import Match
from cacheguard.question import Question
from cacheguard.tuning.heads import RouteFit, may_have_head
from cacheguard.tuning.labels import Labelled, Verdicts
from cacheguard.tuning.rehearsal import Cached, answered, unanswered, young
from cacheguard.types import Answer, Origin, Phrasing, Provenance

DIMENSION = 24
TOPICS = (
    "order",
    "parcel",
    "refund",
    "account",
    "password",
    "card",
    "invoice",
    "voucher",
    "shop",
    "gift",
    "tax",
    "map",
)


def direction(answer, chance, noise=0.5):
    centre = np.random.default_rng(TOPICS.index(answer)).normal(size=DIMENSION)
    vector = centre / np.linalg.norm(centre) + noise * chance.normal(size=DIMENSION) / np.sqrt(DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def phrasings(each=8):
    chance = np.random.default_rng(7)
    forms = ["where is my {}", "about the {}", "I lost a {}", "please, my {}", "{} help", "the {}?", "no {}", "new {}"]
    matches = []
    for answer in TOPICS:
        for form in forms[:each]:
            text = form.format(answer)
            phrasing = Phrasing(len(matches) + 1, answer, "scope", text, text, Origin.LOG, 0)
            owner = Answer(answer, "scope", "", "", "", Provenance("log"), 0, 0)
            matches.append(Match(phrasing, owner, 1.0, vector=direction(answer, chance)))
    return Cached(matches)


def asked(cached, answer, seed):
    vector = direction(answer, np.random.default_rng(100 + seed))
    text = f"could you look at my {answer}"
    return Labelled(Question(text, text), vector, cached.near(vector), Verdicts(frozenset([answer])))


@pytest.fixture(scope="module")
def cached():
    return phrasings()


@pytest.fixture(scope="module")
def fit(cached):
    return RouteFit(cached, default_model())


@pytest.fixture(scope="module")
def model(cached, fit):
    return fit([asked(cached, answer, seed) for seed, answer in enumerate(TOPICS)])


def test_a_head_is_sure_of_the_answer_whose_phrasings_it_has_read(cached, model):
    for answer in TOPICS:
        question = asked(cached, answer, 50)
        best, *rest = model.weigh(question.question.text, question.matches, question.vector)
        assert best.match.answer.id == answer
        assert best.confidence > 0.7 > max(one.confidence for one in rest)
        assert "head_margin" in best.because


def test_a_head_learns_without_a_label(cached, fit):
    question = asked(cached, "gift", 3)
    assert fit([]).weigh(question.question.text, question.matches, question.vector)[0].match.answer.id == "gift"


def test_an_answer_that_came_after_the_head_is_weighed_without_it(cached, model):
    new = Answer("new", "scope", "", "", "", Provenance("log"), 0, 0)
    question = asked(cached, "gift", 3)
    first = question.matches[0]
    matches = [Match(first.phrasing, new, first.similarity, vector=first.vector), *question.matches[1:]]
    found = {one.match.answer.id: one for one in model.weigh(question.question.text, matches, question.vector)}
    assert "head_margin" not in found["new"].because
    assert "head_margin" in found["gift"].because


def test_without_the_questions_vector_the_head_is_not_asked(cached, model):
    question = asked(cached, "gift", 3)
    assert all("head_margin" not in one.because for one in model.weigh("my gift", question.matches))


def test_a_head_survives_being_written_down(cached, model):
    again = ConfidenceModel.from_json(json.loads(json.dumps(model.to_json())))
    question = asked(cached, "card", 9)
    before = model.weigh("my card", question.matches, question.vector)
    after = again.weigh("my card", question.matches, question.vector)
    assert [one.confidence for one in after] == pytest.approx([one.confidence for one in before], abs=1e-3)


@pytest.mark.parametrize(
    "change", [{"weights": "eJw="}, {"weights": "?"}, {"counts": ""}, {"answers": ["one"]}, {"words": 1}]
)
def test_a_head_that_does_not_fit_together_is_refused(model, change):
    body = model.to_json()
    body["head"] |= change
    with pytest.raises(ValueError, match=r".+"):
        ConfidenceModel.from_json(body)


@pytest.mark.parametrize("text", ["", "🙂", "x" * 10_000, "card " * 2_000, "什么"])
def test_a_head_reads_odd_texts(cached, model, text):
    question = asked(cached, "card", 9)
    assert all(0 <= one.confidence <= 1 for one in model.weigh(text, question.matches, question.vector))


def test_a_small_cache_has_no_head(cached):
    assert may_have_head(cached)
    assert not may_have_head(phrasings(each=4))
    assert not may_have_head(Cached(cached.matches[:24]))


def test_a_phrasing_never_finds_itself(cached):
    for at, question in enumerate(answered(cached)):
        assert cached.matches[at].phrasing not in [match.phrasing for match in question.matches]


def test_where_its_answer_is_withheld_nothing_near_is_right(cached):
    for question in unanswered(cached, np.random.default_rng(0)):
        assert not any(question.fits(match.answer) for match in question.matches)


def test_a_young_cache_holds_few_phrasings_and_not_the_question(cached):
    questions = list(young(cached, np.random.default_rng(0)))
    assert questions
    for question in questions:
        assert question.question.text not in [match.phrasing.text for match in question.matches]
        owners = [match.answer.id for match in question.matches]
        assert max(owners.count(owner) for owner in owners) <= 5


def test_the_same_cache_makes_the_same_head(cached, model):
    labelled = [asked(cached, answer, seed) for seed, answer in enumerate(TOPICS)]
    assert RouteFit(cached, default_model())(labelled).to_json() == model.to_json()


@pytest.mark.parametrize("many", [3, 20, 21, 96])
def test_a_cache_finds_the_nearest_phrasings_first(cached, many):
    vector = direction("gift", np.random.default_rng(5))
    among = np.arange(len(cached.matches)) < many
    similarities = np.where(among, cached.vectors @ vector, -np.inf)
    nearest = [int(at) for at in np.argsort(-similarities)[:20] if among[at]]
    assert [match.phrasing.id - 1 for match in cached.near(vector, among)] == nearest
