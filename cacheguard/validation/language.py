"""An answer is in the language of its question. Costs 0.2 ms, and 0.1 s for the first of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cacheguard.failures import FailureClass
from cacheguard.language import are_alike, language_of
from cacheguard.question import NoQuestion, read_question
from cacheguard.validation.base import Objection, is_answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheguard.providers.base import Completion


class Language:
    """only: the languages that an answer may be in, as ISO 639-1 codes; empty: that of the question alone.

    Whatever is too short or unsure, question or answer, passes. A route that translates needs `only`.
    """

    name: ClassVar[str] = "language"

    def __init__(self, only: Sequence[str] = ()) -> None:
        self._only = only

    def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:
        if not is_answer(completion):
            return None
        wanted = self._only or _asked_in(request)
        said = language_of(completion.text)
        if not wanted or said is None or any(are_alike(said, one) for one in wanted):
            return None
        words = f"the answer is in the wrong language: {said}, where it must be {' or '.join(wanted)}"
        return Objection(FailureClass.REJECTED, words)


def _asked_in(request: Mapping[str, Any]) -> Sequence[str]:
    """Empty where that can't be told."""
    question = read_question(request["messages"])
    language = None if isinstance(question, NoQuestion) else language_of(question.text)
    return (language,) if language else ()
