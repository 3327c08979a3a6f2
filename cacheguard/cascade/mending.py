"""An answer that lacks its form is asked for once more, with what was wrong in the prompt of that attempt alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheguard.failures import AttemptFailed, FailureClass

if TYPE_CHECKING:
    from collections.abc import Mapping


def ask_to_mend(body: Mapping[str, Any], failure: AttemptFailed) -> Mapping[str, Any]:
    """The body with the answer that came and the objection to it behind its messages; as it is for other failures."""
    if failure.failure is not FailureClass.SCHEMA or failure.completion is None:
        return body
    came = {"role": "assistant", "content": failure.completion.text}
    words = f"This can't be used: {failure}. Answer again with nothing but the whole answer, mended."
    return {**body, "messages": [*body["messages"], came, {"role": "user", "content": words}]}
