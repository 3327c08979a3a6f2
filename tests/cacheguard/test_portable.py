from __future__ import annotations

import json

import numpy as np
import pytest

from cacheguard.errors import FileUnusable
from cacheguard.portable import End, Importing, export
from cacheguard.stores.base import Filter, Label, NewPhrasing
from cacheguard.stores.memory import MemoryStore
from cacheguard.types import Answer, Origin, Provenance


@pytest.fixture
async def filled(embedder):
    """A store with 300 answers in two routes and tenants, one of them with many phrasings, and some labels."""
    store = MemoryStore()
    await store.open(embedder.spec.fingerprint)
    vectors = np.random.default_rng(1).standard_normal((900, embedder.spec.dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    passed = Provenance("strong", "model-1", 0.25, ("not_empty",), "judge")
    for number in range(300):
        route, tenant = ("faq", "one") if number % 2 else ("shop", "two")
        answer = Answer(
            f"ans_{number}", f"{route}-{tenant}", tenant, route, f"Answer «{number}»\n", passed, number, number + 0.5,
            ttl_s=60.0 if number % 3 else None, tags=("a", "b"), source_id=f"log-{number}" if number % 5 else "",
        )  # fmt: skip
        texts = [f"question {number}.{at}" for at in range(600 if number == 7 else 2)]
        phrasings = [
            NewPhrasing(text, text, Origin.JUDGE, number + 0.25, vectors[at] if at != 1 else None)
            for at, text in enumerate(texts)
        ]
        await store.keep(answer, phrasings)
    said = ("faq-one", "faq", "question 1.0", "Question 1.0?", "ans_1")
    await store.add_labels([
        Label(*said, right=False, by="feedback", created_at=5.0, note="no", similarity=0.91),
        Label(*said, right=True, by="person", created_at=6.0),
    ])  # fmt: skip
    await store.add_rule("faq", '{"threshold": 0.9}', by="tune", created_at=7.0)
    await store.add_rule("faq", "", by="tune", created_at=8.0)
    await store.add_rule("shop", '{"threshold": 0.8}', by="tightening", created_at=9.0)
    return store


async def exported(store, path, embedder, which=Filter(), routes=()):  # noqa: B008 - frozen
    rows = [row async for row in export(store, embedder.spec.fingerprint, which, routes)]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


async def imported(path, embedder, into=None):
    store = into or MemoryStore()
    await store.open(embedder.spec.fingerprint)
    importing = Importing(store, embedder)
    held = await importing.read(path, lambda _: None)
    return store, held, importing


async def content(store):
    """All that a store holds, but for the numbers of phrasings."""
    answers = {}
    async for answer, phrasings in store.answers(Filter()):
        found = await store.vectors(answer.scope, [one.id for one in phrasings])
        vectors = {int(id_): vector.tobytes() for id_, vector in zip(*found, strict=True)}
        answers[answer] = [(one.key, one.text, one.origin, one.created_at, vectors.get(one.id)) for one in phrasings]
    said = [await store.labels(route) for route in ("faq", "shop")]
    return answers, said, [await store.rules(route) for route in ("faq", "shop")]


async def test_a_round_trip_gives_the_same_content(filled, store, embedder, tmp_path):
    path = await exported(filled, tmp_path / "export", embedder)
    copy, held, importing = await imported(path, embedder, into=store)
    assert await content(copy) == await content(filled)
    assert held == End(answers=300, phrasings=1198, labels=2, rules=3)
    assert not importing.made_anew


async def test_importing_twice_changes_nothing(filled, embedder, tmp_path):
    path = await exported(filled, tmp_path / "export", embedder)
    copy, *_ = await imported(path, embedder)
    before = await content(copy)
    await imported(path, embedder, into=copy)
    assert await content(copy) == before


async def test_files_of_the_first_format_are_read_too(embedder, tmp_path):
    path = tmp_path / "export"
    head = json.dumps({"cacheguard_export": {"version": 1, "model": embedder.spec.fingerprint}})
    path.write_text(f'{head}\n{{"end": {{"answers": 0, "phrasings": 0, "labels": 0}}}}\n')
    _, held, _ = await imported(path, embedder)
    assert held == End(0, 0, 0)


async def test_one_routes_export_holds_nothing_of_another(filled, embedder, tmp_path):
    path = await exported(filled, tmp_path / "export", embedder, Filter(route="shop"), ["shop"])
    copy, held, _ = await imported(path, embedder)
    assert (held.answers, held.labels, held.rules) == (150, 0, 1)
    assert {answer.route for answer in (await content(copy))[0]} == {"shop"}


async def test_labels_of_answers_that_are_gone_are_exported_too(filled, embedder, tmp_path):
    await filled.remove(Filter())
    path = await exported(filled, tmp_path / "export", embedder, routes=["faq"])
    copy, held, _ = await imported(path, embedder)
    assert held == End(0, 0, 2, 2)
    assert await copy.labels("faq") == await filled.labels("faq")


async def test_vectors_of_another_model_are_made_anew(filled, embedder, tmp_path):
    path = await exported(filled, tmp_path / "export", embedder, Filter(ids=("ans_1",)))
    path.write_text(path.read_text().replace(embedder.spec.fingerprint, "another"))
    copy, _, importing = await imported(path, embedder)
    assert importing.made_anew
    ids, vectors = await copy.vectors("faq-one")
    assert len(ids) == 2
    expected = (await embedder.embed(["question 1.0", "question 1.1"])).vectors
    np.testing.assert_allclose(vectors, expected, atol=0.02)


async def test_a_file_that_breaks_off_is_noticed_and_what_it_holds_is_kept(filled, embedder, tmp_path):
    path = await exported(filled, tmp_path / "export", embedder)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:1000]))
    copy = MemoryStore()
    with pytest.raises(FileUnusable, match="breaks off before its last line"):
        await imported(path, embedder, into=copy)
    assert (await copy.counts()).phrasings > 500


async def test_a_file_that_lost_lines_is_noticed(filled, embedder, tmp_path):
    path = await exported(filled, tmp_path / "export", embedder)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:2] + lines[5:]))
    with pytest.raises(FileUnusable, match="lacks lines"):
        await imported(path, embedder)


def an_answer(id="a", tier="log"):  # noqa: A002 - the format's
    fields = {"id": id, "provenance": {"tier": tier}, "created_at": 0, "refreshed_at": 0}
    return json.dumps({"answer": {**dict.fromkeys(("scope", "tenant", "route", "text"), "x"), **fields}})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "line 2: is not JSON"),
        ('{"other": 1}', "line 2: is none of an export's lines"),
        ('{"answer": {"id": 7}}', r"line 2: answer\.id: Input should be a valid string"),
        ('{"phrasing": {"key": "k", "text": "t", "origin": "log", "created_at": 0, "vector": null}}', "disorder"),
        (an_answer(id="a\r\nSet-Cookie: x"), r"line 2: answer\.id: .* can't stand in a header field"),
        (an_answer(tier="starkes Modell für alles"), r"line 2: answer\.provenance\.tier: .* can't stand in a header"),
        ('{"label": {}}', r"line 2: label\.scope: Field required"),
    ],
)
async def test_a_line_that_is_none_of_an_exports_is_named(embedder, tmp_path, line, reason):
    path = tmp_path / "export"
    head = json.dumps({"cacheguard_export": {"version": 1, "model": embedder.spec.fingerprint}})
    path.write_text(f"{head}\n{line}\n")
    with pytest.raises(FileUnusable, match=reason):
        await imported(path, embedder)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("", "is no export"),
        ('{"end": {"answers": 0, "phrasings": 0, "labels": 0}}', "is no export"),
        ('{"cacheguard_export": {"version": 3, "model": "m"}}', "has the format 3; this version reads formats 1, 2"),
    ],
)
async def test_a_file_that_is_no_export_is_refused(embedder, tmp_path, head, reason):
    path = tmp_path / "export"
    path.write_text(head)
    with pytest.raises(FileUnusable, match=reason):
        await imported(path, embedder)


@pytest.mark.parametrize("vector", ["AAAA", "not base64!", "AAAAAAAA"])
async def test_a_vector_that_the_model_cannot_have_made_is_refused(filled, embedder, tmp_path, vector):
    path = await exported(filled, tmp_path / "export", embedder, Filter(ids=("ans_1",)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[2]["phrasing"]["vector"] = vector
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(FileUnusable, match="vector"):
        await imported(path, embedder)
