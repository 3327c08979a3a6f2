"""Whether a failure says to ask the same tier once more, and with which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheguard.cascade.adaptation import with_room
from cacheguard.failures import FailureClass
from cacheguard.providers.base import Finish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.cascade.adaptation import Adaptation
    from cacheguard.failures import AttemptFailed


def mended(
    asked: Mapping[str, Any], sent: Mapping[str, Any], adaptation: Adaptation, failure: AttemptFailed
) -> Mapping[str, Any] | None:
    """What to send the second time, in that attempt alone; None: the same words would meet the same end.

    asked: the client's own body. sent: what the tier got of it. An answer that lacks its form goes back with the
    objection behind it; one that was cut is asked for with more room, unless the client or the tier limits that.
    """
    came = failure.completion
    match failure.failure:
        case FailureClass.SCHEMA if came is not None:
            words = f"This can't be used: {failure}. Answer again with nothing but the whole answer, mended."
            said = {"role": "assistant", "content": came.text}
            return {**sent, "messages": [*sent["messages"], said, {"role": "user", "content": words}]}
        case FailureClass.TRUNCATED:
            if came is None or came.finish is not Finish.LENGTH:
                return None
            roomier = with_room(asked, came.usage.output)
            again = None if roomier is None else adaptation.adapted(roomier)
            return None if again == sent else again
        case _:
            return sent
