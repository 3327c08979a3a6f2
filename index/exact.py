"""Every vector is compared, in numpy: the oracle of the other indexes, and the smallest index there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from index.base import Neighbour
from index.rows import checked, checked_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


class ExactIndex:
    """Brute force over one array.

    half: keep float16, which halves memory and moves a similarity by less than 1e-4, but costs a conversion
    at each search (0.7 µs a row of 384, so it suits some hundred rows at most).
    """

    __slots__ = ("_ids", "_vectors")

    def __init__(self, dimension: int, *, half: bool = False) -> None:
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._vectors: NDArray[np.floating] = np.empty((0, dimension), np.float16 if half else np.float32)

    @property
    def dimension(self) -> int:
        return int(self._vectors.shape[1])

    @property
    def nbytes(self) -> int:
        return self._ids.nbytes + self._vectors.nbytes

    async def add(self, ids: ArrayLike, vectors: ArrayLike) -> None:
        numbers, rows = checked(ids, vectors, self.dimension)
        # Of an id that comes twice the last vector counts: np.unique finds the first of the reversed.
        numbers, last = np.unique(numbers[::-1], return_index=True)
        rows = rows[::-1][last]
        stay = ~np.isin(self._ids, numbers)
        self._ids = np.concatenate((self._ids[stay], numbers))
        self._vectors = np.concatenate((self._vectors[stay], rows.astype(self._vectors.dtype)))

    async def remove(self, ids: ArrayLike) -> int:
        stay = ~np.isin(self._ids, np.asarray(ids, dtype=np.int64))
        self._ids, self._vectors = self._ids[stay], self._vectors[stay]
        return stay.size - self._ids.size

    async def search(self, vector: ArrayLike, k: int) -> list[Neighbour]:
        query = checked_query(vector, k, self.dimension)
        similarities = np.clip(self._vectors.astype(np.float32, copy=False) @ query, -1, 1)
        nearest = np.argsort(-similarities, kind="stable")[:k]
        return [
            Neighbour(*pair) for pair in zip(self._ids[nearest].tolist(), similarities[nearest].tolist(), strict=True)
        ]

    async def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        here = np.flatnonzero(np.isin(self._ids, ids))
        return dict(zip(self._ids[here].tolist(), self._vectors[here].astype(np.float32), strict=True))

    async def count(self) -> int:
        return self._ids.size

    def __contains__(self, number: int) -> bool:
        return bool((self._ids == number).any())

    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All of it, for an index that takes over."""
        return self._ids, self._vectors.astype(np.float32, copy=False)
