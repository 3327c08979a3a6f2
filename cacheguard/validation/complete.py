"""An answer is whole: the model stopped because it was done. Costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cacheguard.failures import FailureClass
from cacheguard.providers.base import Finish
from cacheguard.validation.base import Objection, cut_as_asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.providers.base import Completion


class Complete:
    """Objects to every finish but stop and tool calls. A length that the client itself set is its own wish."""

    name: ClassVar[str] = "complete"

    def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:
        match completion.finish:
            case Finish.STOP | Finish.TOOL_CALLS:
                return None
            case Finish.LENGTH:
                if cut_as_asked(completion, request):
                    return None
                return Objection(FailureClass.TRUNCATED, "the answer was cut at the model's length limit")
            case Finish.CONTENT_FILTER:
                return Objection(FailureClass.CONTENT_FILTER, "the provider's content filter stopped the answer")
            case Finish.UNKNOWN:
                return Objection(FailureClass.TRUNCATED, "the answer ended without a known finish_reason")
