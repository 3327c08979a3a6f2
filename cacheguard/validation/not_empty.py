"""An answer says something. Costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cacheguard.failures import FailureClass
from cacheguard.providers.base import Finish
from cacheguard.validation.base import Objection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.providers.base import Completion


class NotEmpty:
    """Objects to a blank text, unless tools are called or the model refuses in so many words."""

    name: ClassVar[str] = "not_empty"

    def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:  # noqa: ARG002 - the protocol's
        if completion.text.strip() or completion.has_tool_calls or completion.refusal:
            return None
        if completion.finish is Finish.CONTENT_FILTER:
            return Objection(FailureClass.CONTENT_FILTER, "the provider's content filter let nothing through")
        if completion.finish is Finish.LENGTH:  # reasoning can use up the whole limit: a longer one would mend it
            return Objection(FailureClass.TRUNCATED, "the answer was cut before its first word")
        return Objection(FailureClass.EMPTY, "the answer is empty")
