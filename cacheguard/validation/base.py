"""What a validator is, and the verdict over a completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from cacheguard.failures import AttemptFailed
from cacheguard.providers.base import Completion, Finish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheguard.failures import FailureClass


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an answer may not be given. words: for people, and as feedback for a model."""

    failure: FailureClass
    words: str


class Validator(Protocol):
    """Looks at one completion. name: as in the settings."""

    name: ClassVar[str]

    def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:
        """None: it passes. request: the body as the client sent it."""
        ...


def validate(completion: Completion, request: Mapping[str, Any], validators: Sequence[Validator]) -> None:
    """Raises AttemptFailed, with the completion, at the first objection."""
    for validator in validators:
        objection = validator.objection(completion, request)
        if objection is not None:
            raise AttemptFailed(objection.failure, objection.words, completion=completion)


def is_answer(completion: Completion) -> bool:
    """Whether the model answers, rather than refusing in its own field or calling tools."""
    return not completion.refusal and not completion.has_tool_calls


def cut_as_asked(completion: Completion, request: Mapping[str, Any]) -> bool:
    """Whether an answer ends at a length that the client itself set: its own wish."""
    limit = request.get("max_tokens") or request.get("max_completion_tokens")
    return completion.finish is Finish.LENGTH and bool(limit)


def may_be_kept(completion: Completion) -> bool:
    """Whatever a route validates, only a whole text of the model's own free will is ever stored."""
    return (
        completion.finish is Finish.STOP
        and bool(completion.text.strip())
        and not completion.refusal
        and not completion.has_tool_calls
    )
