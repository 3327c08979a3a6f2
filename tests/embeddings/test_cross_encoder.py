"""A cross-encoder is taught by pairs, exported whole, and says served what it said trained."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from small_models import ASKED, OTHERS, easy_pairs

from embeddings.base import EmbeddingError, ModelCorrupt, ModelMissing
from embeddings.cross_encoder import CrossEncoder, TooLong
from embeddings.export import MANIFEST_FILE, MODEL_FILE, TOKENIZER_FILE
from embeddings.files import Source
from embeddings.fine_tuning import Pair, fine_tune, read_cross_encoder


def pairs(count):
    return [Pair(*pair) for pair in easy_pairs(count)]


@pytest.fixture(scope="module")
def train_here(make_model, tmp_path_factory):
    """A function that trains in this process, which has torch loaded, and not in one of its own."""
    from embeddings.cross_encoder_training import train  # noqa: PLC0415

    backbone = make_model("mean")

    def here(taught, precision="fp32", max_minutes=5.0):
        made = tmp_path_factory.mktemp("look")
        train(Source("small", str(backbone), identity=""), taught, precision, max_minutes, made)
        return made

    return here


@pytest.fixture(scope="module")
def trained(train_here):
    return train_here(pairs(3000))


def test_it_learns_what_it_is_taught(trained):
    scorer = CrossEncoder(read_cross_encoder(trained))
    same, *different = scorer.score(ASKED, [ASKED, *OTHERS])
    assert same > 0 > max(different)


def test_the_same_pairs_make_the_same_model(train_here):
    first, again = (read_cross_encoder(train_here(pairs(20))).manifest for _ in range(2))
    assert first.model_sha256 == again.model_sha256


def test_a_pair_has_the_same_logit_in_any_company(trained):
    scorer = CrossEncoder(read_cross_encoder(trained))
    together = scorer.score(ASKED, OTHERS)
    assert together.dtype == np.float32
    alone = np.concatenate([scorer.score(ASKED, [other]) for other in OTHERS])
    assert np.abs(together - alone).max() < 1e-4
    assert scorer.score(ASKED, []).shape == (0,)


def test_time_ends_the_training(train_here):
    manifest = read_cross_encoder(train_here(pairs(2000), max_minutes=0.01)).manifest
    assert manifest.pairs < 4000


@pytest.mark.parametrize("text", ["card " * 200, "card" * 10_000])
def test_what_cannot_be_read_whole_is_not_judged(trained, text):
    with pytest.raises(TooLong):
        CrossEncoder(read_cross_encoder(trained)).score(ASKED, [text])


@pytest.mark.parametrize("file", [MODEL_FILE, TOKENIZER_FILE, MANIFEST_FILE])
def test_a_torn_cross_encoder_is_never_read(trained, tmp_path, file):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    (copy / file).write_bytes((copy / file).read_bytes()[:-100])
    with pytest.raises(ModelCorrupt, match="torn"):
        read_cross_encoder(copy)


def test_a_folder_without_one_says_so(tmp_path):
    with pytest.raises(ModelMissing, match="train one"):
        read_cross_encoder(tmp_path)


def test_the_bundled_model_is_taught_in_a_process_of_its_own(tmp_path):
    manifest = fine_tune(pairs(16), tmp_path)
    assert manifest.precision == "int8"
    assert manifest.pairs == 64  # twice each
    assert CrossEncoder(read_cross_encoder(tmp_path)).score(ASKED, OTHERS).shape == (4,)


def test_pairs_that_are_all_alike_teach_nothing(tmp_path):
    with pytest.raises(EmbeddingError, match="all alike"):
        fine_tune([Pair(ASKED, ASKED, same=True)], tmp_path)
