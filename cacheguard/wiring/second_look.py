"""The second look of each route that has one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cacheguard.errors import ConfigError, FileUnusable
from cacheguard.second_look import NO_SECOND_LOOK, ReadTogether
from cacheguard.tuning.second_look import read_weights
from embeddings.base import EmbeddingError
from embeddings.cross_encoder import CrossEncoder
from embeddings.fine_tuning import read_cross_encoder

if TYPE_CHECKING:
    from pathlib import Path

    from cacheguard import settings as configured
    from cacheguard.matching.confidence import Logistic
    from cacheguard.second_look import Counter, SecondLook


async def open_second_look(route: str, cache: configured.Cache, counter: Counter) -> SecondLook:
    """What the route's settings name. Raises ConfigError where its folder can't be used."""
    look = cache.second_look
    if look is None:
        return NO_SECOND_LOOK
    try:
        scorer, weights = await asyncio.to_thread(_read, look.model)
    except (EmbeddingError, FileUnusable) as exc:
        raise ConfigError(f"routes.{route}.cache.second_look.model: {exc}") from exc
    budget_s = look.budget_ms / 1000
    return ReadTogether(scorer, weights, counter, route=route, min_confidence=look.min_confidence, budget_s=budget_s)


def _read(folder: Path) -> tuple[CrossEncoder, Logistic]:
    return CrossEncoder(read_cross_encoder(folder)), read_weights(folder)
