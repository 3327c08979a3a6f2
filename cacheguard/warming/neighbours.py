"""Which questions of one scope lie nearest to each of those after them: exact, in memory that the log does not grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Rows = Callable[[int, int], NDArray[np.float32]]

# As many as the corridor looks at.
NEAREST: Final = 20
# Rows, and vectors that they are held against, at a time: with what each is to each, 60 MB.
_ROWS: Final = 1024
_COLUMNS: Final = 8192
# The nearest lie in the stretches of so many columns with the highest maxima, so that a fifth need sorting.
_STRETCH: Final = 64


class Near(NamedTuple):
    """For the questions from `start` on: places, int64 (n, k), nearest first, and cosines; -1 where there are none."""

    start: int
    places: NDArray[np.int64]
    cosines: NDArray[np.float32]


def blocks(start: int, stop: int, rows: int = _ROWS) -> Iterator[tuple[int, int]]:
    """The stretches in which the places of a scope are worked on: the same wherever that is done."""
    return ((at, min(at + rows, stop)) for at in range(start, stop, rows))


def nearest(rows: Rows, mine: tuple[int, int], scope: tuple[int, int]) -> Near:
    """Of the questions in a block, those nearest in their scope that come before them. rows: gives vectors by places.

    scope: it ends where the block does.
    """
    own = np.arange(*mine)[:, np.newaxis]
    return Near(mine[0], *_search(rows(*mine), rows, scope, lambda columns: columns >= own))


def nearest_held(
    rows: Rows, asked: NDArray[np.float32], scope: tuple[int, int], held: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places and cosines, as in `Near`, for questions by their vectors. held: of a scope, which are to be found."""
    return _search(asked, rows, scope, lambda columns: ~held[columns - scope[0]])


def _search(
    asked: NDArray[np.float32],
    rows: Rows,
    scope: tuple[int, int],
    hidden: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """hidden: of places, which are not to be found."""
    found = np.full((len(asked), NEAREST), -1, np.int64)
    cosines = np.full((len(asked), NEAREST), -np.inf, np.float32)
    for start, stop in blocks(*scope, _COLUMNS):
        width = -(-(stop - start) // _STRETCH) * _STRETCH
        block = np.full((len(asked), max(width, _STRETCH * NEAREST)), -np.inf, np.float32)
        seen = block[:, : stop - start]
        np.matmul(asked, rows(start, stop).T, out=seen)
        np.copyto(seen, -np.inf, where=hidden(np.arange(start, stop)))
        places, best = _best_of(block)
        found, cosines = _best(np.hstack([found, places + start]), np.hstack([cosines, best]))
    # Cosines that differ by no more than the order of summing moves them count as equal.
    cosines = np.round(cosines, 5)
    order = np.lexsort((found, -cosines), axis=1)
    found = np.where(np.isfinite(cosines), found, -1)
    return np.take_along_axis(found, order, 1), np.take_along_axis(cosines, order, 1)


def _best_of(block: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The columns with the highest cosines of each row, in any order."""
    stretches = block.reshape(len(block), -1, _STRETCH)
    highest = np.argpartition(-stretches.max(axis=2), NEAREST - 1, axis=1)[:, :NEAREST]
    cosines = np.take_along_axis(stretches, highest[:, :, None], axis=1).reshape(len(block), -1)
    best = np.argpartition(-cosines, NEAREST - 1, axis=1)[:, :NEAREST]
    columns = np.take_along_axis(highest, best // _STRETCH, 1) * _STRETCH + best % _STRETCH
    return columns, np.take_along_axis(cosines, best, 1)


def _best(found: NDArray[np.int64], cosines: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
    return np.take_along_axis(found, order, 1), np.take_along_axis(cosines, order, 1)
