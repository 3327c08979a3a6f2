"""Whether answers say the same: equal JSON, else the similarity of their vectors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from numpy.typing import NDArray

    from cacheguard.providers.base import Completion
    from embeddings.base import Embedded

Embed: TypeAlias = "Callable[[Sequence[str]], Awaitable[Embedded]]"


async def similarities(completions: Sequence[Completion], embed: Embed) -> NDArray[np.float32]:
    """float32 (n, n): of each to each; 1 or 0 where all are JSON or call tools. Raises EmbeddingError."""
    said = [_exactly(completion) for completion in completions]
    if all(exact is not None for exact in said):
        return np.array([[one == other for other in said] for one in said], dtype=np.float32)
    vectors = (await embed([completion.text for completion in completions])).vectors
    return vectors @ vectors.T


def medoid(similarity: NDArray[np.float32], least: float) -> tuple[int, int]:
    """Which answer is most like the others, and how many are at least that like it, itself among them."""
    best = int(similarity.sum(axis=1).argmax())
    return best, int((similarity[best] >= least).sum())


def _exactly(completion: Completion) -> Any | None:
    """What can be compared to the letter: a call of tools, or a JSON object or list; None for prose."""
    if completion.has_tool_calls:
        message = completion.body["choices"][0]["message"]
        return [call.get("function") for call in message.get("tool_calls") or [message]]
    try:
        value = json.loads(completion.text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None
