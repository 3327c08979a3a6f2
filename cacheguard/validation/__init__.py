"""May this answer be given? One small file per validator; `REGISTRY` names those without options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.validation.complete import Complete
from cacheguard.validation.not_empty import NotEmpty
from cacheguard.validation.not_refusal import NotRefusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cacheguard.validation.base import Validator

REGISTRY: Mapping[str, Callable[[], Validator]] = {
    NotEmpty.name: NotEmpty,
    Complete.name: Complete,
    NotRefusal.name: NotRefusal,
}
