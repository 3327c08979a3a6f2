"""Which id stands in which row of a table, and which rows live."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

# In the place of the id of a row that is dead.
GONE = -1
# Bytes that a stray takes in two dictionaries.
STRAY = 230


class Roll:
    """Rows are only ever appended; one that is struck off stays, dead.

    Sources number what they add, so ids ascend with the rows, but for a few: those are found by bisection, at 8 bytes
    and a bit each. A dictionary of all would take 100, and stop everything while it grows.
    """

    __slots__ = ("_ascending", "_bits", "_living", "_row_of_stray", "_stray_in")

    def __init__(self) -> None:
        self._ascending = array("q")  # the largest id up to each row
        self._bits = bytearray()  # one a row, lowest first: whether it lives
        self._living = 0
        self._row_of_stray: dict[int, int] = {}
        self._stray_in: dict[int, int] = {}

    @classmethod
    def of(cls, ids: NDArray[np.int64]) -> Self:
        """As `ids` gave it."""
        roll = cls()
        largest = np.maximum.accumulate(ids)
        is_alive = ids != GONE
        is_stray = is_alive.copy()
        is_stray[1:] &= ids[1:] <= largest[:-1]
        is_stray[:1] = False
        roll._ascending = array("q", largest.tobytes())
        roll._bits = bytearray(np.packbits(is_alive, bitorder="little").tobytes())
        roll._living = int(is_alive.sum())
        roll._stray_in = {row: int(ids[row]) for row in np.flatnonzero(is_stray).tolist()}
        roll._row_of_stray = {number: row for row, number in roll._stray_in.items()}
        return roll

    @property
    def height(self) -> int:
        """Rows, dead ones too."""
        return len(self._ascending)

    @property
    def nbytes(self) -> int:
        return len(self._bits) + 8 * self.height + STRAY * len(self._stray_in)

    def __len__(self) -> int:
        """Living rows."""
        return self._living

    def __contains__(self, number: int) -> bool:
        return self.row(number) is not None

    def row(self, number: int) -> int | None:
        """The living row of the id."""
        if (stray := self._row_of_stray.get(number)) is not None:
            return stray
        row = bisect_left(self._ascending, number)
        is_there = row < self.height and self._ascending[row] == number and self._is_alive(row)
        return row if is_there else None

    def id(self, row: int) -> int:
        """The id in a row that lives."""
        return self._stray_in.get(row, self._ascending[row])

    def ids(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Of the rows from `start` to before `stop`; GONE for the dead."""
        rows = range(self.height)[start:stop]
        ids = np.array(self._ascending[rows.start : rows.stop], dtype=np.int64)
        if self._stray_in:
            for row in rows:
                if row in self._stray_in:
                    ids[row - rows.start] = self._stray_in[row]
        first = rows.start // 8
        bits = np.frombuffer(bytes(self._bits[first : -(-rows.stop // 8)]), np.uint8)
        is_alive = np.unpackbits(bits, bitorder="little")[rows.start - 8 * first :][: len(rows)]
        ids[is_alive == 0] = GONE
        return ids

    def bitmap(self) -> NDArray[np.uint8]:
        """A bit a row, lowest first: whether it lives."""
        return np.frombuffer(bytes(self._bits), np.uint8)

    def append(self, ids: Iterable[int]) -> None:
        """A row for each; one that has the id already dies."""
        for number in ids:
            self.strike(number)
            row, largest = self.height, self._ascending[-1] if self._ascending else GONE
            if number > largest:
                largest = number
            else:
                self._row_of_stray[number], self._stray_in[row] = row, number
            self._ascending.append(largest)
            if row % 8 == 0:
                self._bits.append(0)
            self._bits[row // 8] |= 1 << row % 8
            self._living += 1

    def strike(self, number: int) -> bool:
        """Let the id's row die; whether there was one."""
        row = self.row(number)
        if row is None:
            return False
        if self._row_of_stray.pop(number, None) is not None:
            del self._stray_in[row]
        self._bits[row // 8] &= ~(1 << row % 8)
        self._living -= 1
        return True

    def _is_alive(self, row: int) -> bool:
        return bool(self._bits[row // 8] >> row % 8 & 1)
