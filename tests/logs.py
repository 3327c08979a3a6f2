"""Logs for warming, written and read."""

from __future__ import annotations

import json


class Unseen:
    """Progress that nobody watches. left: steps that were not done yet."""

    def begin(self, what, total):  # noqa: ARG002 - the protocol's
        self.left = total

    def advance(self, steps):
        self.left -= steps


def written(prompt, answer, answer_id=None):
    """A line of a log."""
    named = {"answer_id": answer_id} if answer_id else {}
    return json.dumps({"prompt": prompt, "answer": answer} | named) + "\n"
