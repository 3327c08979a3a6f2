"""The serving path: as good as sentence-transformers, the same vector in any company, no torch."""

from __future__ import annotations

import csv
import gzip
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from embeddings.files import find


@pytest.fixture(scope="module")
def original():
    sentence_transformers = pytest.importorskip("sentence_transformers")
    return sentence_transformers.SentenceTransformer(find("bundled").place, device="cpu", local_files_only=True)


def test_each_of_500_real_questions_lies_where_the_original_puts_it(bundled, original, questions):
    some = questions[::10][:500]
    cosine = (bundled.encode(some).vectors * original.encode(some)).sum(axis=1)
    assert len(cosine) == 500
    assert cosine.min() >= 0.99


def test_duplicates_are_told_apart_as_well_as_by_the_original(bundled, original, data):
    from sklearn.metrics import average_precision_score  # noqa: PLC0415  # comes with sentence-transformers

    with gzip.open(data / "pairs" / "qqp_a.tsv.gz", "rt", encoding="utf-8", newline="") as lines:
        rows = list(itertools.islice(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), 5000))
    a, b = [row["prompt_a"] for row in rows], [row["prompt_b"] for row in rows]
    same = [int(row["same"]) for row in rows]

    def average_precision(encode):
        return average_precision_score(same, (encode(a) * encode(b)).sum(axis=1))

    ours = average_precision(lambda texts: bundled.encode(texts).vectors)
    assert abs(ours - average_precision(original.encode)) <= 0.005


def test_a_text_has_the_same_vector_alone_and_in_a_batch(bundled, questions):
    some = questions[:200]
    together = bundled.encode(some).vectors
    alone = np.vstack([bundled.encode([text]).vectors for text in some])
    assert (alone * together).sum(axis=1).min() > 0.9999


def test_vectors_are_unit_float32_in_the_order_of_the_texts(bundled):
    texts = ["a much longer question about the card that I ordered", "hi", "where is my card?", "", " ", "卡在哪里"]
    vectors = bundled.encode(texts).vectors
    assert vectors.dtype == np.float32
    assert vectors.shape == (6, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        assert bundled.encode([text]).vectors[0] @ vector > 0.9999


def test_no_texts_give_no_vectors(bundled):
    embedded = bundled.encode([])
    assert (embedded.vectors.shape, embedded.cut) == ((0, 384), ())


@pytest.mark.parametrize(
    ("words", "cut"),
    [(1, False), (254, False), (255, True), (20_000, True)],  # 256 tokens hold 254 words, [CLS] and [SEP]
)
def test_a_text_that_the_model_can_not_read_to_its_end_is_called_cut(bundled, words, cut):
    assert bundled.encode(["card " * words]).cut == (cut,)


def test_an_endless_text_without_words_is_called_cut(bundled):
    assert bundled.encode([" " * 1_000_000 + "hi"]).cut == (True,)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Wie ändere ich mein Passwort?", False),
        ("Where's the café? 🙂 → 10 €", False),
        ("什么是天气预报", True),
        ("Как мне изменить пароль?", True),
        ("How should I translate 放心 to English?", True),
        (f"Which key is {'ab1' * 50}?", True),
    ],
)
def test_a_text_in_letters_that_the_model_does_not_know_is_called_cut(bundled, text, cut):
    assert bundled.encode([text]).cut == (cut,)


def test_of_chinese_questions_hardly_one_is_read(bundled, data):
    with gzip.open(data / "pairs" / "oppo_zh.tsv.gz", "rt", encoding="utf-8") as lines:
        texts = [line.split("\t")[0] for line in itertools.islice(lines, 1, 1001)]
    assert sum(bundled.encode(texts).cut) >= 990


def test_half_characters_do_not_stop_it(bundled):
    assert np.isfinite(bundled.encode(["broken \ud800 emoji"]).vectors).all()


def test_the_runtime_reports_its_use_to_nobody(tmp_path):
    """Unless told otherwise, ONNX Runtime opens a session of its telemetry in the folder for temporary files."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", "import embeddings.onnx"], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_serving_never_imports_torch(bundled):
    code = (
        "import asyncio, sys\n"
        "from embeddings.opening import open_embedder\n"
        "async def main():\n"
        "    embedder = await open_embedder('bundled')\n"
        "    await embedder.embed(['hi']); await embedder.aclose()\n"
        "asyncio.run(main())\n"
        "print({'torch', 'transformers', 'sentence_transformers', 'onnx'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
