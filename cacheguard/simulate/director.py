"""Watches the calls come in and says which rule of the script each of them gets."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from random import Random
from typing import TYPE_CHECKING

from cacheguard.simulate.script import Then

if TYPE_CHECKING:
    from cacheguard.simulate.script import Rule, Script

NORMAL = Then()


class Director:
    """One run of a script. seed: two runs with equal seeds and equal calls are equal."""

    def __init__(self, script: Script, seed: int) -> None:
        self.random = Random(seed)
        self._parts = [_Part(rule) for rule in script.rules]

    def cue(self, model: str, prompt: str) -> Then:
        """What the next call gets. Every rule counts it, the first that fits is played."""
        fitting = [part for part in self._parts if part.counts(model, prompt)]
        return next((part.rule.then for part in fitting if part.plays(self.random)), NORMAL)


class _Part:
    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._pattern = re.compile(rule.when.pattern)
        self._prompt = rule.when.prompt.casefold()
        self._calls = 0

    def counts(self, model: str, prompt: str) -> bool:
        fits = (
            fnmatchcase(model, self.rule.when.model)
            and self._prompt in prompt.casefold()
            and self._pattern.search(prompt) is not None
        )
        self._calls += fits
        return fits

    def plays(self, random: Random) -> bool:
        when = self.rule.when
        if when.calls and not when.calls.first <= self._calls <= (when.calls.last or self._calls):
            return False
        return when.share == 1 or random.random() < when.share
