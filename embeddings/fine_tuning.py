"""Cross-encoders: fine-tuned on pairs of texts once, exported to ONNX, checked each time that they are read."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embeddings.base import EmbeddingError, ModelCorrupt, ModelMissing
from embeddings.export import FAILURES, MANIFEST_FILE, MODEL_FILE, TOKENIZER_FILE, check_that_export_is_possible
from embeddings.files import BUNDLED, Source, find, sha256_of_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embeddings.export import Precision


class Pair(NamedTuple):
    """Two questions, and whether they ask the same."""

    asked: str
    known: str
    same: bool


@dataclass(frozen=True, slots=True)
class CrossManifest:
    """What a cross-encoder is. name: what it was made of. pairs: how many taught it. max_tokens: of both texts."""

    name: str
    precision: str
    max_tokens: int
    pairs: int
    seconds: float
    model_sha256: str
    tokenizer_sha256: str

    def write(self, folder: Path) -> None:
        (folder / MANIFEST_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class CrossExport:
    """A whole cross-encoder in memory, so that what was checked is what is run."""

    manifest: CrossManifest
    model: bytes
    tokenizer: str


def fine_tune(
    pairs: Iterable[Pair], folder: Path, *, model: str = BUNDLED, precision: Precision = "int8", max_minutes: float = 5
) -> CrossManifest:
    """Teach a cross-encoder these pairs and write its export into `folder`, which exists. Blocks.

    model: `bundled`, or a cross-encoder or sentence-transformers name or folder, whose weights are where it begins.
    The same pairs make the same model on the same machine, unless the time runs out before they do.
    Raises ModelMissing, ModelCorrupt, EmbeddingError.
    """
    source = _find(model)
    check_that_export_is_possible(model, source)
    command = [sys.executable, "-m", "embeddings.cross_encoder_training"]
    arguments = [source.name, source.place, source.weights_sha256, precision, str(max_minutes), str(folder)]
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
    # In a process of its own: torch takes 400 MB and more, and never gives them back.
    ran = subprocess.run([*command, *arguments], input=lines, capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode:
        said = ran.stderr.strip().splitlines() or [f"the training ended with {ran.returncode}"]
        raise FAILURES.get(ran.returncode, EmbeddingError)(said[-1])
    return read_cross_encoder(folder).manifest


def read_cross_encoder(folder: Path) -> CrossExport:
    """The cross-encoder in `folder`. Raises ModelMissing; ModelCorrupt when it is torn or was altered."""
    try:
        manifest = CrossManifest(**json.loads((folder / MANIFEST_FILE).read_bytes()))
        model = (folder / MODEL_FILE).read_bytes()
        tokenizer = (folder / TOKENIZER_FILE).read_bytes()
    except OSError as exc:
        raise ModelMissing(f"there is no cross-encoder in '{folder}' ({exc.strerror or exc}): train one") from exc
    except (ValueError, TypeError) as exc:
        raise ModelCorrupt(f"'{folder / MANIFEST_FILE}' is torn: train the cross-encoder again") from exc
    found = (hashlib.sha256(model).hexdigest(), hashlib.sha256(tokenizer).hexdigest())
    if found != (manifest.model_sha256, manifest.tokenizer_sha256):
        raise ModelCorrupt(f"the cross-encoder in '{folder}' is torn: train it again")
    return CrossExport(manifest, model, tokenizer.decode())


def _find(model: str) -> Source:
    """As `find`; a folder may also hold a cross-encoder as transformers save it, without modules.json."""
    folder = Path(model).expanduser()
    if (folder / "config.json").is_file():
        return Source(folder.resolve().name, str(folder.resolve()), sha256_of_folder(folder))
    return find(model)
