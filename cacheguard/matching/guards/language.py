"""Texts in different languages."""

from __future__ import annotations

from typing import ClassVar

from cacheguard.language import are_alike
from cacheguard.matching.guards.base import Comparison
from cacheguard.matching.guards.wording import language


class Language(Comparison):
    """Both languages are sure, and not too near to be told apart: an answer is in the language of its question.

    It costs no right hit of vira, banking77 and qqp_a.
    """

    name: ClassVar[str] = "language"

    def differ(self, asked: str, known: str) -> bool:
        ours = language(asked)
        if ours is None:
            return False
        theirs = language(known)
        return theirs is not None and not are_alike(ours, theirs)
