"""Whether a later turn asks what it would ask as the first: then the answer to such a first one fits it.

Lists of words find what leans on earlier turns, but not what leaves something out: «What empires survived?» Of 833
later turns in CAsT, 81 pass here, and 43 of them a person would still put differently as a first turn. So nobody is
given what a later turn of another conversation was answered; what passes may only have the answer to a first one. None
of those 43 has a cosine of 0.85 to any of 81,000 questions asked alone; 8 of the turns that fail here have.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.question import Question

# An apostrophe ends a word: «it's» is «it» and an auxiliary.
_WORD = re.compile(r"[^\W_]+(?:[./&-][^\W_]+)*")
_MORE_THAN_A_SENTENCE = re.compile(r"[.?!;:]\s|\n")
_LONGEST = 200  # characters

_GREETINGS = frozenset(
    {"hi", "hello", "hey", "hi there", "hello there", "good morning", "good evening", "thanks", "thank you"}
)
# No other language has these: «is», «was», «will», «describe» begin questions in Dutch, German and Spanish too.
_ASKING = frozenset({"how", "what", "when", "where", "who", "why"})
_AUXILIARY = frozenset(
    """am are can could d did do does had has have is ll may might must re s shall should was were will
    would""".split()  # noqa: SIM905 - as a list, 24 lines
)
_ASKING_ANYHOW = _ASKING | _AUXILIARY | {"which", "whose"}
# Whatever may lean on something said before: pronouns, other things, comparisons, conditions, joined clauses.
_LEANING = frozenset(
    """it its itself they them their theirs themselves he him his himself she her hers herself this that these those
    you your yours who whom whose which one ones other others another same such both either neither former latter each
    all any some none here there then now so too also else instead again still yet next before after ago above below
    earlier previous about and or but because if though although whether while than as like versus vs not more less most
    least better worse best worst further additional first second third last rest compare compares compared comparison
    differ differs difference differences different similar similarity alternative alternatives relate related relation
    relationship role member members mentioned said should would could might must need needed come""".split()  # noqa: SIM905 - as a list, 110 lines
)


def is_self_contained(question: Question) -> bool:
    """Whether nothing in it leans on earlier turns, nor they tell anything that it may mean.

    False wherever that can't be told: only plain English questions pass, behind earlier turns that greet or only ask.
    Who told something of himself, or how he wants to be answered, may mean it still.
    """
    said = [text for role, text in question.earlier if role == "user"]
    return _leans_on_nothing(question.text) and all(_greets(text) or _only_asks(text) for text in said)


def _leans_on_nothing(text: str) -> bool:
    words = _words(text)
    if not (_begins_like_a_question(words) and text.replace("’", "'").isascii()):
        return False
    rest = words[3:] if words[0] == "tell" else words[1:]
    return _LEANING.isdisjoint(rest) and all(
        "of" in rest[at + 1 : at + 4] for at, word in enumerate(rest) if word == "the"
    )


def _greets(text: str) -> bool:
    return " ".join(_words(text)) in _GREETINGS


def _only_asks(text: str) -> bool:
    words = _words(text)
    if words[1:2] == ["you"]:  # «Could you answer in French?»
        return False
    if _begins_like_a_question(words) or words[:1] in (["compare"], ["describe"]):
        return True
    return text.rstrip().endswith("?") and not _ASKING_ANYHOW.isdisjoint(words[:1])


def _words(text: str) -> list[str]:
    """In lower case. None where a text is long, or more than one sentence: it brings a context of its own."""
    if len(text) > _LONGEST or _MORE_THAN_A_SENTENCE.search(text.strip()):
        return []
    return _WORD.findall(text.lower())


def _begins_like_a_question(words: Sequence[str]) -> bool:
    """«How can», «what kind of card can»; the mark at the end is often left out."""
    return words[:3] == ["tell", "me", "about"] or (
        not _ASKING.isdisjoint(words[:1]) and not _AUXILIARY.isdisjoint(words[1:5])
    )
