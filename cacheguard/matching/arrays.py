"""Arrays in a rule that is written down as JSON."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def packed(numbers: NDArray[Any]) -> str:
    return b64encode(zlib.compress(numbers.tobytes(), 9)).decode()


def unpacked(text: str, kind: type[np.generic]) -> NDArray[Any]:
    """Of one dimension. Raises ValueError."""
    try:
        return np.frombuffer(zlib.decompress(b64decode(text)), kind)
    except zlib.error as exc:
        raise ValueError(f"no array: {exc}") from exc
