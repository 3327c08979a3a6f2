"""An answer is neither too short nor too long. Costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cacheguard.failures import FailureClass
from cacheguard.validation.base import Objection, is_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.providers.base import Completion


class Length:
    """Counts characters without the white space around them. max_chars: None for no limit."""

    name: ClassVar[str] = "length"

    def __init__(self, min_chars: int = 1, max_chars: int | None = None) -> None:
        self._min = min_chars
        self._max = max_chars

    def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:  # noqa: ARG002 - the protocol's
        chars = len(completion.text.strip())
        if not is_answer(completion):
            return None
        if chars < self._min:
            return Objection(FailureClass.REJECTED, f"the answer has {chars} characters, fewer than {self._min}")
        if self._max is not None and chars > self._max:
            return Objection(FailureClass.REJECTED, f"the answer has {chars} characters, more than {self._max}")
        return None
