"""The request's Cache-Control field (RFC 9111, 5.2.1)."""

from __future__ import annotations

import math

from cacheguard.errors import RequestError
from cacheguard.matching.freshness import NO_DIRECTIVES, Directives


def parse_cache_control(field: str) -> Directives:
    """Unknown directives are ignored, as the standard says. Raises RequestError for a number that is none."""
    if not field:
        return NO_DIRECTIVES
    said: dict[str, str] = {}
    for directive in field.split(","):
        name, _, value = directive.partition("=")
        said[name.strip().lower()] = value.strip().strip('"')
    return Directives(
        no_store="no-store" in said,
        no_cache="no-cache" in said,
        only_if_cached="only-if-cached" in said,
        max_age_s=_seconds(said, "max-age"),
        max_stale_s=math.inf if said.get("max-stale") == "" else _seconds(said, "max-stale"),
        min_fresh_s=_seconds(said, "min-fresh"),
    )


def _seconds(said: dict[str, str], name: str) -> float | None:
    value = said.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise RequestError(f"Cache-Control: {name} takes whole seconds, not '{value}'", param="Cache-Control")
    return float(value)
