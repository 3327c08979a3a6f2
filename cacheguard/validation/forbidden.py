"""An answer holds nothing that it may not. Costs a regular expression over the text for each word and the pattern."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from cacheguard.failures import FailureClass
from cacheguard.validation.base import Objection
from cacheguard.validation.regex import Regex

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheguard.providers.base import Completion


class Forbidden:
    """words: whole words or phrases, in any case. pattern: a regular expression. Raises ValueError for what is none."""

    name: ClassVar[str] = "forbidden"

    def __init__(self, words: Iterable[str] = (), pattern: str | None = None) -> None:
        # Not \b: a word may begin or end with a sign, as C++ does.
        self._regexes = {word: Regex(rf"(?i)(?:^|\W){re.escape(word)}(?:\W|$)") for word in words}
        if pattern is not None:
            self._regexes[pattern] = Regex(pattern)

    def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:  # noqa: ARG002 - the protocol's
        for said, regex in self._regexes.items():
            if regex.is_in(completion.text):
                return Objection(FailureClass.REJECTED, f"the answer says {said!r}, which it may not")
        return None
