"""An answer answers. Costs one regular expression over the beginning of a text (about 2 µs)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from cacheguard.failures import FailureClass
from cacheguard.validation.base import Objection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.providers.base import Completion

_CANNOT = "can(?:no|')t|can not|won't|will not|(?:am|'m) (?:not able|unable) to|must decline to|have to decline to"
_ACT = (
    "help(?! but)|assist|answer|provide|comply|fulfill?|continue|discuss|share|create|engage|support|do (?:that|this)"
)
_SORRY = r"(?:i'm |i am )?(?:so |very |really )?sorry[.!]\s+"
# Only the first sentence that says more than "Sorry." counts: an answer may quote a refusal later on, and may begin
# with regret for a fee.
_REFUSES = re.compile(
    rf"(?:{_SORRY})?[^.!?\n]{{0,60}}?"
    rf"\b(?:i ?(?:{_CANNOT}) (?:(?!wait)\w+ ){{0,3}}?(?:{_ACT})\b|i(?: must|'ll have to) (?:decline|refuse)\b)",
    re.IGNORECASE,
)
_LOOKED_AT = 160


class NotRefusal:
    """Objects to the model's own refusal field, and to English texts that begin as refusals do."""

    name: ClassVar[str] = "not_refusal"

    def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:  # noqa: ARG002 - the protocol's
        if completion.refusal or _REFUSES.match(completion.text[:_LOOKED_AT].replace("’", "'")):
            return Objection(FailureClass.REFUSAL, "the answer is a refusal")
        return None
