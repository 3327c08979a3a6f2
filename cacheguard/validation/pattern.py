"""An answer holds what it must. Costs one regular expression over the text (1 µs for 100 characters)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cacheguard.failures import FailureClass
from cacheguard.validation.base import Objection, is_answer
from cacheguard.validation.regex import Regex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.providers.base import Completion


class Pattern:
    """must: a regular expression that is found in every answer. Raises ValueError for what is none."""

    name: ClassVar[str] = "pattern"

    def __init__(self, must: str) -> None:
        self._must = must
        self._regex = Regex(must)

    def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:  # noqa: ARG002 - the protocol's
        if not is_answer(completion) or self._regex.is_in(completion.text):
            return None
        return Objection(FailureClass.REJECTED, f"the answer does not match {self._must!r}")
