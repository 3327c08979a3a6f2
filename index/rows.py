"""Rows as they enter an index, and queries as they reach it: checked once, here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# float32 sums over 384 to 4096 components are off by less than 1e-5; int8 models normalise after rounding.
LENGTH_TOLERANCE = 1e-3
# Vectors of an index that was saved, or that others made, that are compared with the source's.
WITNESSES = 64
# The cosine that a byte a component leaves at least, a vector that doesn't fit the bytes' ranges included.
ALIKE = 0.99


def checked(ids: ArrayLike, vectors: ArrayLike, dimension: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """int64 (n,) and float32 (n, dimension). Raises ValueError unless they match and have unit length.

    A vector that is not finite or not of unit length is refused here because inside it would not fail: it
    would be near to everything, or to nothing, for as long as the index lives.
    """
    numbers = np.ascontiguousarray(ids, dtype=np.int64)
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if numbers.ndim != 1 or rows.shape != (numbers.size, dimension):
        raise ValueError(f"{numbers.shape} ids with vectors of shape {rows.shape}: expected (n,) and (n, {dimension})")
    if numbers.size and numbers.min() < 0:
        raise ValueError(f"id {numbers.min()} is negative: ids are 0 or more")
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= LENGTH_TOLERANCE))
    if wrong.size:
        raise ValueError(f"the vector of id {numbers[wrong[0]]} has length {lengths[wrong[0]]:.4g}, not 1")
    return numbers, rows


def checked_query(vector: ArrayLike, k: int, dimension: int) -> NDArray[np.float32]:
    """float32 (dimension,). Raises ValueError on another shape, and on k below 1."""
    query = np.ascontiguousarray(vector, dtype=np.float32)
    if query.shape != (dimension,):
        raise ValueError(f"a query of shape {query.shape}: expected ({dimension},)")
    if k < 1:
        raise ValueError(f"k is {k}: expected 1 or more")
    return query


def alike(some: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    """Whether each is the other's vector, as exactly as a byte a component keeps it. float32 (n, dimension)."""
    return bool((np.einsum("ij,ij->i", some, others) >= ALIKE).all())
