"""Near-exact: two texts ask the same in the same words, but for marks, contractions, articles and courtesies.

Nothing here guesses at meaning: what is left of both texts is equal, word by word. On the public sets, of 42 questions
whose words are those of a known phrasing and whose text is not, 1 has another answer than that phrasing; a cosine of
0.97 serves 298 that are not exact, 15 of them wrong. Leaving out further words («is», «my», «to») gave 145, 10 wrong.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from cacheguard.matching.guards.wording import REMEMBERED, is_content, may_be_english
from cacheguard.question import fold

# Around a word they say nothing, but inside one («3.5», «f(x)», «C++», «.net») they may.
_BEFORE: Final = "\"'“”‘’«»¿¡"
_AFTER: Final = _BEFORE + ",;:.?"
_WORD_OF_LETTERS: Final = re.compile(r"[^\W\d_]{2,}!+")
_HYPHEN: Final = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")
_ENDINGS: Final = (
    ("'s", "is", ("what", "how", "where", "who", "that", "there", "it", "he", "she")),
    ("'re", "are", ("what", "you", "we", "they")),
    ("'ve", "have", ("i", "you", "we", "they")),
    ("'ll", "will", ("i", "you", "we", "they", "it", "he", "she")),
    ("n't", "not", ("do", "does", "did", "is", "are", "was", "were", "has", "have", "had", "would", "should", "could")),
    ("'m", "am", ("i",)),
)
_CONTRACTED: Final = {
    **{f"{word}{ending}": f"{word} {means}" for ending, means, words in _ENDINGS for word in words},
    "can't": "can not",
    "won't": "will not",
}
# As many write them; these are words of their own.
_WORDS: Final = frozenset({"its", "were", "well", "ill", "hell", "shell", "wont"})
_UNMARKED: Final = {
    "cannot": "can not",
    **{bare: long for short, long in _CONTRACTED.items() if (bare := short.replace("'", "")) not in _WORDS},
}
_ARTICLES: Final = frozenset({"a", "an", "the"})
_GREETINGS: Final = frozenset({"hi", "hello", "hey"})
_COURTESIES: Final = frozenset({"please", "pls", "thanks"})


def same_words(one: str, other: str) -> bool:
    """Whether two texts are near-exact. English ones: another language's «an» or «a» is no article."""
    return _worded(one) == _worded(other) and may_be_english(one) and may_be_english(other)


@lru_cache(REMEMBERED)
def _worded(text: str) -> tuple[str, ...]:
    found: list[str] = []
    for raw in _HYPHEN.sub(" ", fold(text).replace("’", "'")).split():
        word = raw.lstrip(_BEFORE).rstrip(_AFTER) or raw  # what is all marks is an argument: `git add .`
        if _WORD_OF_LETTERS.fullmatch(word):
            word = word.rstrip("!")
        found += (_CONTRACTED.get(word) or _UNMARKED.get(word) or word).split()
    return _without_articles(_without_courtesies(found))


def _without_courtesies(words: list[str]) -> list[str]:
    """At either end; elsewhere they may be what is asked about."""
    while len(words) > 1 and words[0] in _GREETINGS | _COURTESIES:
        words = words[1:]
    while len(words) > 1 and words[-1] in _COURTESIES:
        words = words[:-1]
    if len(words) > len(("thank", "you")) and words[-2:] == ["thank", "you"]:
        words = words[:-2]
    return words


def _without_articles(words: list[str]) -> tuple[str, ...]:
    """But for those that may be a name's last part: «vitamin A», «plan A for …»."""
    return tuple(
        word
        for at, word in enumerate(words)
        if word not in _ARTICLES or at == len(words) - 1 or (word == "a" and at > 0 and is_content(words[at - 1]))
    )
