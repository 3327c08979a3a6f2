"""One upstream call for one question, however many processes share a store: they take turns."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol


class Turns(Protocol):
    """Whose turn it is to ask the tiers."""

    def turn(self, scope: str, key: str, patience_s: float) -> AbstractAsyncContextManager[float]:
        """Entered when no other process asks this question, with the seconds that were waited for one that did.

        Whoever enters looks first whether its answer is there by now. A turn that can't be had, for one that takes
        longer than the patience or a store that is away, is no reason to wait: it is entered all the same.
        """
        ...


class Alone:
    """No other process asks."""

    def turn(self, scope: str, key: str, patience_s: float) -> AbstractAsyncContextManager[float]:  # noqa: ARG002
        return nullcontext(0.0)
