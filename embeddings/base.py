"""What an embedder is: texts in, unit vectors out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class EmbeddingError(Exception):
    """Anything that goes wrong between a text and its vector; its message names the way out."""


class ModelMissing(EmbeddingError):
    """The model's files are not where the settings say, or can't be had."""


class ModelCorrupt(EmbeddingError):
    """The model's files are not the ones they claim to be (checksum), or don't fit together."""


class RemoteFailed(EmbeddingError):
    """A remote endpoint did not give vectors."""


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """Which space the vectors lie in. Vectors may be compared only if their fingerprints are equal."""

    name: str
    dimension: int
    fingerprint: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """vectors: float32 (n, dimension), unit length. cut: for each text, whether some of it was not read: its end, or
    words in letters that the model does not know. Such vectors say too little to be compared.
    """

    vectors: NDArray[np.float32]
    cut: tuple[bool, ...]


class Embedder(Protocol):
    """Makes vectors of texts. Any number of calls may run at once."""

    @property
    def spec(self) -> EmbedderSpec: ...

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Vectors in the order of `texts`. Raises EmbeddingError."""
        ...

    async def aclose(self) -> None: ...
