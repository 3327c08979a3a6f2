"""What a validator is, and the verdict over a completion."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from cacheguard.failures import AttemptFailed
from cacheguard.providers.base import Completion, Finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cacheguard.failures import FailureClass


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an answer may not be given. words: for people, and as feedback for a model.

    unchecked: nothing is known against it, so that it may be given where nothing better comes.
    """

    failure: FailureClass
    words: str
    unchecked: bool = False


class Validator(Protocol):
    """Looks at one completion. name: as in the settings."""

    name: ClassVar[str]

    def objection(
        self, completion: Completion, request: Mapping[str, Any]
    ) -> Objection | Awaitable[Objection | None] | None:
        """None: it passes. request: the body as the client sent it. To be awaited where a model must be asked."""
        ...


class Ask(Protocol):
    """Asks a model on behalf of a validator, within the request's deadline and budget."""

    async def __call__(
        self, body: Mapping[str, Any], *, tier: str | None = None, times: int = 1
    ) -> Sequence[Completion]:
        """So many completions, asked for at once. tier: by name; None: the one that wrote the answer.

        Raises AttemptFailed when any of them fails.
        """
        ...


@dataclass(frozen=True, slots=True)
class AskingValidator:
    """A validator that asks models: made for each answer, of the means to ask. name: as in the settings."""

    name: str
    asking: Callable[[Ask], Validator]


async def first_objection(
    completion: Completion, request: Mapping[str, Any], validators: Iterable[Validator]
) -> Objection | None:
    for validator in validators:
        found = validator.objection(completion, request)
        if objection := await found if isinstance(found, Awaitable) else found:
            return objection
    return None


async def validate(completion: Completion, request: Mapping[str, Any], validators: Iterable[Validator]) -> None:
    """Raises AttemptFailed, with the completion, at the first objection."""
    if objection := await first_objection(completion, request, validators):
        failure, words, unchecked = objection.failure, objection.words, objection.unchecked
        raise AttemptFailed(failure, words, completion=completion, unchecked=unchecked)


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
