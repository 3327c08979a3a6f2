"""What the simulated provider says: known answers from a file, else a text made from the prompt."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import TYPE_CHECKING

from cacheguard.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ECHOED_WORDS = 12


class Answers:
    """Answers by prompt, whatever its case and white space. The same prompt always gets the same text.

    Of several answers to one prompt the last one counts, as in a log.
    """

    def __init__(self, known: Iterable[tuple[str, str]] = ()) -> None:
        self._known = {_folded(prompt): text for prompt, text in known}

    def __len__(self) -> int:
        return len(self._known)

    def to(self, prompt: str) -> str:
        folded = _folded(prompt)
        return self._known.get(folded) or _invented(folded)


def load_answers(*paths: Path) -> Answers:
    """Answers from files of the `stream` format, {"prompt", "answer"} a line, plain or .gz.

    Raises ConfigError, naming file and line.
    """
    return Answers(pair for path in paths for pair in _pairs(path))


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    number = 0
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):  # noqa: B007 (the error names it)
                if line.strip():
                    row = json.loads(line)
                    yield str(row["prompt"]), str(row["answer"])
    except OSError as exc:
        raise ConfigError(f"can't read the answers in {path}: {exc.strerror or exc}") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise ConfigError(f"{path}, line {number}: not a JSON object with 'prompt' and 'answer' ({exc})") from exc


def _folded(prompt: str) -> str:
    return " ".join(prompt.casefold().split())


def _invented(folded: str) -> str:
    digest = hashlib.sha256(folded.encode("utf-8", "replace")).hexdigest()
    echo = " ".join(folded.split()[:ECHOED_WORDS])
    return f"Simulated answer {digest[:8]}: you asked about «{echo}», and this text is all there is to it."
