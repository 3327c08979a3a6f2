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
    """float32 (n, n): of each to each; 1 or 0 where both are JSON or call tools. Raises EmbeddingError."""
    exact = [_exactly(completion) for completion in completions]
    texts = [completion.text for completion in completions]
    said = [text if value is None else value for text, value in zip(texts, exact, strict=True)]
    are_equal = np.array([[one == other for other in said] for one in said])
    is_exact = np.array([value is not None for value in exact])
    is_told = are_equal | np.outer(is_exact, is_exact)
    if is_told.all():
        return are_equal.astype(np.float32)
    vectors = (await embed(texts)).vectors
    return np.where(is_told, are_equal, vectors @ vectors.T).astype(np.float32)


def medoid(similarity: NDArray[np.float32], least: float) -> tuple[int, int]:
    """Which answer most agree with, of those the one most like all, and how many these are, itself among them."""
    agreeing = (similarity >= least).sum(axis=1)
    best = int(np.lexsort((similarity.sum(axis=1), agreeing))[-1])
    return best, int(agreeing[best])


def _exactly(completion: Completion) -> Any | None:
    """What can be compared to the letter: a call of tools, or a JSON object or list; None for prose."""
    if completion.has_tool_calls:
        message = completion.body["choices"][0]["message"]
        calls = message.get("tool_calls")
        return [call.get("function") for call in calls] if calls else message.get("function_call")
    try:
        value = json.loads(completion.text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None
