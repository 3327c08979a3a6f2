"""Answers, phrasings and labels as a Redis holds them: what scripts look at as fields, all else as JSON."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, astuple
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from cacheguard.stores.base import Filter, Known, Label, Served, StoredRule, Vectors
from cacheguard.types import Answer, Origin, Phrasing, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cacheguard.stores.base import NewPhrasing

Field: TypeAlias = "bytes | str | int"
# A phrasing's id is a number of its own times this, plus its shard: whoever has an id knows where to look.
MOST_SHARDS: Final = 16
_SIGN: Final = 1 << 63


def shard_of(scope: str, shards: int) -> int:
    """The shard that holds all of a scope."""
    return int(_sha256(scope)[:8], 16) % shards


def digest(key: str) -> str:
    """A folded text, which may be a megabyte, as 128 bits of SHA-256, in hex."""
    return _sha256(key)[:32]


def sortable(number: float) -> bytes:
    """Eight bytes that sort as the numbers do."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", number))
    return struct.pack(">Q", bits ^ (2**64 - 1 if bits & _SIGN else _SIGN))


def unsortable(sorting: bytes) -> float:
    """The number behind the eight bytes."""
    (bits,) = struct.unpack(">Q", sorting)
    (number,) = struct.unpack(">d", struct.pack(">Q", bits ^ (_SIGN if bits & _SIGN else 2**64 - 1)))
    return float(number)


def answer_fields(answer: Answer) -> list[Field]:
    """As keep.lua takes them."""
    rest = {
        "provenance": asdict(answer.provenance),
        "refreshed_at": answer.refreshed_at,
        "ttl_s": answer.ttl_s,
        "tags": answer.tags,
    }
    own = (answer.id, answer.scope, answer.tenant, answer.route, answer.text)
    return [*own, sortable(answer.created_at), _json(rest), answer.source_id]


def answer_of(id_: str, scope: str, row: Sequence[bytes]) -> Answer:
    """Of the fields n, r, t, c, m, src."""
    tenant, route, text, created, rest, source_id = row
    provenance, refreshed_at, ttl_s, tags = _rest(rest)
    return Answer(
        id_,
        scope,
        tenant.decode(),
        route.decode(),
        text.decode(),
        provenance,
        unsortable(created),
        refreshed_at,
        ttl_s,
        tags,
        source_id.decode(),
    )


@lru_cache(maxsize=4096)
def _rest(text: bytes) -> tuple[Provenance, float, float | None, tuple[str, ...]]:
    fields = json.loads(text)
    provenance = fields["provenance"]
    made = Provenance(**{**provenance, "validators": tuple(provenance["validators"])})
    return made, fields["refreshed_at"], fields["ttl_s"], tuple(fields["tags"])


def phrasing_fields(new: NewPhrasing) -> list[Field]:
    """As keep.lua and add_phrasings.lua take them."""
    vector = b"" if new.vector is None else vector_bytes(new.vector)
    return [digest(new.key), new.key, _json([new.text, new.origin, new.created_at]), vector]


def phrasing_of(id_: bytes, row: Sequence[bytes]) -> Phrasing:
    """Of the fields a, s, k, j."""
    answer_id, scope, key, rest = row
    text, origin, created_at = json.loads(rest)
    return Phrasing(int(id_), answer_id.decode(), scope.decode(), key.decode(), text, Origin(origin), created_at)


def known_of(found: Sequence[Any]) -> list[Known]:
    """Of what known.lua gives."""
    rows, answers = found
    its = dict(answers)
    made: dict[bytes, Answer] = {}
    known = []
    for id_, row in rows:
        phrasing = phrasing_of(id_, row)
        answer = made.get(row[0])
        if answer is None:
            answer = made[row[0]] = answer_of(phrasing.answer_id, phrasing.scope, its[row[0]])
        known.append(Known(phrasing, answer))
    return known


def whole_of(found: Sequence[Any]) -> tuple[bytes, Answer, list[Phrasing]]:
    """How it sorts, and the answer with its phrasings, of what answers.lua gives for one."""
    sorting, row, phrasings = found
    its = sorted((phrasing_of(*phrasing) for phrasing in phrasings), key=lambda phrasing: phrasing.id)
    return sorting, answer_of(sorting[8:].decode(), its[0].scope, row), its


def label_fields(label: Label, came: int) -> list[Field]:
    """As add_labels.lua takes them. came: nanoseconds, which tell labels of one time apart."""
    sorting = sortable(label.created_at) + came.to_bytes(8, "big")
    at = repr(label.created_at)
    whole = sorting + _json(astuple(label)).encode()
    return [label.scope, digest(label.key), label.key, label.answer_id, label.route, int(label.right), at, whole]


def label_of(whole: bytes) -> Label:
    return Label(*json.loads(whole[16:]))


def served_fields(served: Served) -> list[Field]:
    """As add_served.lua takes them. A script reads numbers as doubles, but for the id none is exact to the digit."""
    fields = asdict(served) | {"phrasing_id": str(served.phrasing_id), "digest": digest(served.key)}
    return [served.completion_id, served.route, "" if served.is_near_miss else repr(served.at), _json(fields)]


def served_of(whole: bytes) -> Served:
    fields = json.loads(whole)
    del fields["digest"]
    return Served(**{**fields, "phrasing_id": int(fields["phrasing_id"])})


def rule_of(whole: bytes) -> StoredRule:
    route, version, body, by, created_at = json.loads(whole)
    return StoredRule(route, int(version), body, by, float(created_at))


def filter_fields(which: Filter) -> str:
    """As remove.lua takes it."""
    return _json({name: value for name, value in asdict(which).items() if value is not None and name != "ids"})


def vector_bytes(vector: NDArray[np.float32]) -> bytes:
    """float32 (dimension,) as little-endian bytes."""
    return vector.astype("<f4").tobytes()


def vectors_of(found: Sequence[tuple[list[bytes], bytes]]) -> Vectors:
    """Of what vectors.lua and some_vectors.lua give, ascending by id."""
    ids = np.array([int(id_) for batch, _ in found for id_ in batch], np.int64)
    if not ids.size:
        return Vectors(np.empty(0, np.int64), np.empty((0, 0), np.float32))
    rows = np.frombuffer(b"".join(rows for _, rows in found), "<f4").reshape(len(ids), -1)
    unique, order = np.unique(ids, return_index=True)
    return Vectors(unique, rows[order].astype(np.float32, copy=False))


def in_turns(parts: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """So many at a time: what waits behind a script waits for all of it."""
    for at in range(0, len(parts), size):
        yield parts[at : at + size]


def _sha256(text: str) -> str:
    # A lone surrogate is found by nothing, and refused where it is to be kept.
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
