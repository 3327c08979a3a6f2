"""Rows in FAISS, which no other file imports: flat while few, a graph (HNSW) past a measured number."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self

import faiss as library
import numpy as np

from index.base import Neighbour, SnapshotUnusable
from index.pages import enlarge
from index.roll import GONE, Roll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# FAISS's stubs describe the C++ classes, not what its Python wrappers take: arrays and keyword parameters.
faiss: Any = library

# Measured: 384 dimensions, real questions about other things than what is stored, which is the harder case; one thread.
NEIGHBOURS = 16  # with 32 recall is the same, from 4,000 to 150,000, for 16 % more time and 128 bytes more a row
EF_CONSTRUCTION = 200  # at 30,000 recall@20 is 0.991 in 0.10 ms; with 80 it is 0.979 in 0.08, and adding takes a third
# Recall@1 0.995 at 4,000, with 128 0.985, with 256 1.000 for a quarter more time. At 1,000,000 of questions about other
# things 0.987, with 128 0.977, with 256 0.992; of vectors moved to a cosine of 0.9 0.995, 0.993 and 0.995.
EF_SEARCH = 192
# An int8 range is a tenth wider on either side than what it was learnt from: one vector of 1,000 is cut off; with a
# twentieth six of 1,000, with a fifth none, but all similarities are a seventh less exact.
RANGE_MARGIN = 0.1
LEARNT_FROM = 20_000
# Of a similarity at 0.9 the standard error is 5.5e-4 as FAISS rounds, 3.6e-4 after one, 3.4e-4 after two, and no less
# after three; of vectors that are cut off it falls from 5e-3 to 2e-3.
STRETCHES = 2
# A code reaches as far as its vector, but for those that are unlike all that the ranges were learnt from.
MOST_STRETCHED = 2.0
# FAISS moves an array that is full to a place of twice the size: 490 MB in 280 ms, so 8 MB in less than 5.
SOON_MOVED = 8_000_000


class Form(IntEnum):
    """How rows are kept, from few to many: in float16, every one compared; in float16, in a graph; in int8, in a graph.

    A similarity is off by less than 1e-4 in float16, and who compares every row reads half as much memory as float32
    takes: among 5,000 a search takes 0.29 ms instead of 0.56 where the model has just had the core's caches. In int8,
    where each component has a range of its own, it is off by 3e-4 to 5e-4 at one standard deviation, and by some 2e-3
    at most.
    """

    FLAT = 0
    GRAPH = 1
    COMPACT = 2


class Table:
    """Rows that are only ever appended; one that is removed or replaced stays, and is never found again.

    HNSW can't remove a node, and through dead nodes a search still finds its way; FAISS's selector keeps them
    out of the results. Not safe against concurrent use.
    """

    def __init__(self, dimension: int, form: Form) -> None:
        self.form = form
        self._roll = Roll()
        self._living: faiss.SearchParameters | None = None
        self._rows = _empty(dimension, form)
        self._room = 0  # rows for which there is room, as far as is known

    def __len__(self) -> int:
        return len(self._roll)

    def __contains__(self, number: int) -> bool:
        return number in self._roll

    @property
    def height(self) -> int:
        """Rows, dead ones too."""
        return self._roll.height

    @property
    def dead(self) -> int:
        return self.height - len(self)

    @property
    def nbytes(self) -> int:
        """Vectors, links (2 × NEIGHBOURS of 4 bytes, and upper levels), and what the roll takes."""
        links = 0 if self.form is Form.FLAT else 8 * NEIGHBOURS + 20
        a_component = 1 if self.form is Form.COMPACT else 2
        per_row: int = a_component * self._rows.d + links
        return self.height * per_row + self._roll.nbytes

    def is_full(self, n: int) -> bool:
        """Whether FAISS may have to move its arrays to take n more, for longer than a search should wait."""
        return self.height + n > self._room and self.nbytes > SOON_MOVED

    def make_room(self) -> None:
        """For nearly as many rows again. Searches may go on meanwhile, for they read the rows as they were."""
        self._hold(faiss.clone_index(self._rows))

    def _hold(self, rows: Any) -> None:
        """Rows whose arrays are full. What is laid out behind them takes no memory until more come."""
        for held in _arrays(rows):
            size = held.size()
            held.resize(size + 1)
            held.resize(size)
            values = faiss.rev_swig_ptr(held.data(), size)
            enlarge(values.ctypes.data, values.nbytes)
        self._rows = rows
        self._room = rows.ntotal + rows.ntotal * 9 // 10  # not twice: how many links a row has is drawn by lot

    def learn(self, other: Table) -> None:
        """Take int8 ranges from what `other` holds; a table that holds rows, or is not compact, needs none."""
        if self._rows.is_trained:
            return
        if other.form is Form.COMPACT:  # its own, so that its rows come out as they went in
            faiss.copy_array_to_vector(faiss.vector_to_array(_quantiser(other).trained), _quantiser(self).trained)
            self._rows.is_trained = faiss.downcast_index(self._rows.storage).is_trained = True
        else:
            rows = np.linspace(0, other.height - 1, min(LEARNT_FROM, other.height)).astype(np.int64)
            self._rows.train(other._rows.reconstruct_batch(rows))

    def put(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        faiss.omp_set_num_threads(1)
        self._rows.add(self._stretched(vectors) if self.form is Form.COMPACT else vectors)
        self._roll.append(ids.tolist())
        self._living = None

    def _stretched(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """So long that their codes reach as far as they do, in their own direction: there the nearest queries are.

        Rounding and cutting off shorten or lengthen a code. What is a code already stays as it is.
        """
        codec = _quantiser(self)
        reach, stretched = _products(vectors, vectors), vectors
        for _ in range(STRETCHES):
            coded = codec.decode(codec.compute_codes(stretched))
            short = reach / np.maximum(_products(coded, vectors), reach / MOST_STRETCHED)
            stretched = stretched * short[:, None]
        return stretched

    def remove(self, ids: NDArray[np.int64]) -> int:
        removed = sum(self._roll.strike(number) for number in ids.tolist())
        if removed:
            self._living = None
        return removed

    def search(self, query: NDArray[np.float32], k: int) -> list[Neighbour]:
        if not len(self):
            return []
        # Two threads take 1 ms for what one does in 0.7, and 16 ms beside other work, for OpenMP's threads
        # wait for each other. The setting belongs to the calling thread.
        faiss.omp_set_num_threads(1)
        similarities, rows = self._rows.search(query[None], min(k, len(self)), params=self._parameters())
        return [
            Neighbour(self._roll.id(row), similarity)
            for row, similarity in zip(rows[0].tolist(), similarities[0].clip(-1, 1).tolist(), strict=True)
            if row >= 0
        ]

    def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        rows = {number: row for number in ids if (row := self._roll.row(number)) is not None}
        if not rows:
            return {}
        return dict(zip(rows, self._rows.reconstruct_batch(np.fromiter(rows.values(), np.int64)), strict=True))

    def _parameters(self) -> faiss.SearchParameters:
        if self._living is None:
            among = faiss.IDSelectorBitmap(self._roll.bitmap()) if self.dead else None
            self._living = (
                faiss.SearchParameters(sel=among)
                if self.form is Form.FLAT
                else faiss.SearchParametersHNSW(sel=among, efSearch=EF_SEARCH)
            )
        return self._living

    def living(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids and vectors of those rows from `start` to before `stop` that are not dead."""
        ids = self._roll.ids(start, stop)
        vectors = self._rows.reconstruct_n(start, ids.size)
        return ids[ids != GONE], vectors[ids != GONE]

    def dump(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Each row's id, and the rows in FAISS's own format."""
        return self._roll.ids(), faiss.serialize_index(self._rows)

    @classmethod
    def load(cls, ids: NDArray[np.int64], blob: NDArray[np.uint8], dimension: int) -> Self:
        """The graph that `dump` gave. Raises SnapshotUnusable if it is none, or of another dimension."""
        try:
            rows = faiss.deserialize_index(blob)
        except RuntimeError as exc:
            raise SnapshotUnusable(f"FAISS can't read the graph: {exc}; build it again") from exc
        form = _form_of(rows)
        if form is None or (rows.ntotal, rows.d) != (ids.size, dimension):
            raise SnapshotUnusable(f"no graph of {ids.size} rows in {dimension} dimensions; build it again")
        table = cls(dimension, form)
        table._hold(rows)
        table._roll = Roll.of(ids)
        return table


def _empty(dimension: int, form: Form) -> Any:
    codec = faiss.ScalarQuantizer.QT_8bit if form is Form.COMPACT else faiss.ScalarQuantizer.QT_fp16
    if form is Form.FLAT:
        return faiss.IndexScalarQuantizer(dimension, codec, faiss.METRIC_INNER_PRODUCT)
    rows = faiss.IndexHNSWSQ(dimension, codec, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    faiss.downcast_index(rows.storage).sq.rangestat_arg = RANGE_MARGIN
    rows.hnsw.efConstruction = EF_CONSTRUCTION
    return rows


def _form_of(rows: Any) -> Form | None:
    if not isinstance(rows, faiss.IndexHNSWSQ) or rows.hnsw.nb_neighbors(0) != 2 * NEIGHBOURS:
        return None
    codecs = {faiss.ScalarQuantizer.QT_fp16: Form.GRAPH, faiss.ScalarQuantizer.QT_8bit: Form.COMPACT}
    return codecs.get(faiss.downcast_index(rows.storage).sq.qtype)


def _quantiser(table: Table) -> Any:
    return faiss.downcast_index(table._rows.storage).sq  # noqa: SLF001  # of this file's own class


def _products(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    products: NDArray[np.float32] = np.einsum("ij,ij->i", some, others)
    return products


def _arrays(rows: Any) -> list[Any]:
    """Those that grow with the rows."""
    if isinstance(rows, faiss.IndexScalarQuantizer):
        return [rows.codes]
    return [faiss.downcast_index(rows.storage).codes, rows.hnsw.neighbors, rows.hnsw.levels, rows.hnsw.offsets]
