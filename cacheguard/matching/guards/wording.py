"""How guards read a text: its words, and those that carry its content.

Lists of words are English. They are asked only where a text is, or may be, in that language.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cacheguard.language import language_of

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# What most questions hold, whatever they are about. Negations are among them: `negation` looks at those.
_FUNCTION_WORDS = frozenset(
    """a about am an and any are as at be been by can could did do does for from get got had has have here how how's i
    i'm i've if in into is it it's its just may me might must my neither never no nobody none nor not nothing of off on
    or our out please shall should so some tell that the then there these this those to up was we were what what's when
    where which who whom whose why will with without would you your don't doesn't didn't isn't aren't can't cannot won't
    wouldn't shouldn't couldn't haven't hasn't""".split()  # noqa: SIM905 - as a list, 90 lines
)
_ENDINGS = ("ings", "ing", "ies", "ied", "es", "ed", "s", "er", "ly", "'s")
_SHORTEST_STEM = 3
# Texts whose reading is remembered: a question meets twenty phrasings, and a popular phrasing many questions.
REMEMBERED = 8192
_WORDS_REMEMBERED = 16384


@lru_cache(REMEMBERED)
def words(text: str) -> tuple[str, ...]:
    """In lower case, in their order, with straight apostrophes."""
    return tuple(_WORD.findall(text.lower().replace("’", "'")))


@lru_cache(REMEMBERED)
def stems(text: str) -> frozenset[str]:
    return frozenset(map(stem, words(text)))


@lru_cache(REMEMBERED)
def content(text: str) -> frozenset[str]:
    """Stems of the words that say what the text is about, figures apart."""
    return frozenset(stem(word) for word in words(text) if is_content(word))


def overlap(one: str, other: str) -> float:
    """Share of the content of both that is in both, from 0 to 1."""
    ours, theirs = content(one), content(other)
    return len(ours & theirs) / max(1, len(ours | theirs))


def is_content(word: str) -> bool:
    return word not in _FUNCTION_WORDS and not word[0].isdigit()


@lru_cache(_WORDS_REMEMBERED)
def stem(word: str) -> str:
    """Crude, but the same for most forms of a word."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            word = word.removesuffix(ending)
            break
    return word.rstrip("e") or word


def may_be_english(text: str) -> bool:
    return language(text) in {"en", None}


@lru_cache(REMEMBERED)
def language(text: str) -> str | None:
    """Its ISO 639-1 code; None where that can't be told."""
    return language_of(text)
