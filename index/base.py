"""What a vector index is: unit vectors under integer ids, and the nearest of them to a given one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class IndexFailed(Exception):
    """The index could not do what was asked; its message names the way out."""


class SnapshotUnusable(IndexFailed):
    """A saved index is torn, foreign or of another model: build it again from the store."""


class Neighbour(NamedTuple):
    """similarity: cosine in [-1, 1], higher is closer."""

    id: int
    similarity: float


class VectorIndex(Protocol):
    """One partition's vectors. Async because an index may live in another process.

    ids: int64 (n,). vectors: float32 (n, dimension), unit length.
    """

    @property
    def dimension(self) -> int: ...

    async def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Add vectors; an id that is there already gets its new vector. Raises ValueError on wrong shapes."""
        ...

    async def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove those of the ids that are there; how many were."""
        ...

    async def search(self, vector: NDArray[np.float32], k: int) -> list[Neighbour]:
        """The k nearest to float32 (dimension,), nearest first; fewer when the index holds fewer."""
        ...

    async def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """The vectors of those of the ids that are there, float32 (dimension,), as exactly as the index keeps them."""
        ...

    async def count(self) -> int: ...


class PartitionedIndex(Protocol):
    """The vectors of all partitions, walled off from each other, kept up with a source that is the truth."""

    async def search(self, partition: str, vector: NDArray[np.float32], k: int) -> list[Neighbour]:
        """The k nearest within the partition, nearest first; [] where it is unknown."""
        ...

    async def vectors(self, partition: str, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """Those of a partition that was searched a moment ago; {} of another."""
        ...

    async def add(self, partition: str, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Add what the source holds by now."""
        ...

    async def follow(self) -> None:
        """Catch up with what this and other processes wrote. Cheap when nothing changed."""
        ...

    async def save(self) -> None:
        """Make the next start short."""
        ...

    async def aclose(self) -> None: ...
