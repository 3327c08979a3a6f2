"""Exports: a model made ready for the serving path once, checked each time that it is read."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from embeddings.base import EmbedderSpec, EmbeddingError, ModelCorrupt, ModelMissing
from embeddings.files import BUNDLED, cache_folder, find

if TYPE_CHECKING:
    from embeddings.files import Source

Precision = Literal["int8", "fp32"]
# Raised whenever the exporter changes what vectors come out: old exports and old vectors are then left alone.
EXPORTER_VERSION = 1
# Raised whenever an export is described otherwise: it is then made again, and gives the same vectors.
_MANIFEST_VERSION = 2
MODEL_FILE, TOKENIZER_FILE, MANIFEST_FILE = "model.onnx", "tokenizer.json", "manifest.json"
_NEEDED_TO_EXPORT = ("torch", "sentence_transformers", "onnx")
# How the exporting process says what kind of failure its last line on stderr names.
FAILURES: dict[int, type[EmbeddingError]] = {3: EmbeddingError, 4: ModelMissing, 5: ModelCorrupt}


def told(failure: EmbeddingError) -> int:
    """Say why a program that another process runs has failed, in its last line; its exit status is the kind."""
    sys.stderr.write(f"\n{failure}\n")
    return next(code for code, kind in FAILURES.items() if kind is type(failure))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export is. prompt: put before every text, as the model's authors want it.

    source_sha256: of the loaded weights. settings: how tokens become one vector, for people to read.
    fingerprint: of everything that decides which vectors come out. scripts: those that its vocabulary has words in.
    """

    name: str
    dimension: int
    max_tokens: int
    precision: str
    prompt: str
    settings: str
    source_sha256: str
    exporter_version: int
    model_sha256: str
    tokenizer_sha256: str
    fingerprint: str
    scripts: list[str]

    @property
    def spec(self) -> EmbedderSpec:
        return EmbedderSpec(self.name, self.dimension, self.fingerprint, self.max_tokens)

    def write(self, folder: Path) -> None:
        (folder / MANIFEST_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Export:
    """A whole export in memory, so that what was checked is what is run."""

    manifest: Manifest
    model: bytes
    tokenizer: str


def prepare(model: str, precision: Precision = "int8", cache_dir: Path | None = None) -> Export:
    """The export of `model`, made now if there is no sound one. Blocks: some 20 s when it has to be made.

    Raises ModelMissing, ModelCorrupt, EmbeddingError.
    """
    source = find(model)
    folder = cache_folder(cache_dir) / _folder_name(source, precision)
    try:
        with suppress(FileNotFoundError, ModelCorrupt):
            return read(folder)
        check_that_export_is_possible(model, source)
        sys.stderr.write(f"exporting {source.name} to ONNX {precision}, once: {folder}\n")
        sys.stderr.flush()
        _make(source, precision, folder)
        return read(folder)
    except OSError as exc:
        raise EmbeddingError(
            f"the model's export can't be kept in '{folder.parent}' ({exc.strerror or exc}): "
            "make room there, or set CACHEGUARD_HOME to a folder that can be written"
        ) from exc


def spec_of(model: str, precision: Precision = "int8", cache_dir: Path | None = None) -> EmbedderSpec:
    """What `prepare` would give; an export that is there is checked only when it is opened, which takes 0.06 s.

    Raises as `prepare`.
    """
    folder = cache_folder(cache_dir) / _folder_name(find(model), precision)
    with suppress(FileNotFoundError, ModelCorrupt):
        return _manifest(folder).spec
    return prepare(model, precision, cache_dir).manifest.spec


def read(folder: Path) -> Export:
    """The export in `folder`. Raises FileNotFoundError; ModelCorrupt when it is torn or was altered."""
    manifest = _manifest(folder)
    model = (folder / MODEL_FILE).read_bytes()
    tokenizer = (folder / TOKENIZER_FILE).read_bytes()
    found = (hashlib.sha256(model).hexdigest(), hashlib.sha256(tokenizer).hexdigest())
    if found != (manifest.model_sha256, manifest.tokenizer_sha256):
        raise ModelCorrupt(f"the export in '{folder}' is torn: delete the folder")
    return Export(manifest, model, tokenizer.decode())


def _manifest(folder: Path) -> Manifest:
    try:
        return Manifest(**json.loads((folder / MANIFEST_FILE).read_bytes()))
    except (ValueError, TypeError) as exc:
        raise ModelCorrupt(f"'{folder / MANIFEST_FILE}' is torn: delete the folder") from exc


def _folder_name(source: Source, precision: Precision) -> str:
    made_of = f"{source.identity} {precision} {EXPORTER_VERSION} {_MANIFEST_VERSION}"
    readable = re.sub(r"[^\w.-]+", "-", source.name.rpartition("/")[2])
    return f"{readable}-{precision}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"


def check_that_export_is_possible(model: str, source: Source) -> None:
    missing = [name for name in _NEEDED_TO_EXPORT if find_spec(name) is None]
    if missing:
        extra = "bundled" if model == BUNDLED else "models"
        raise ModelMissing(
            f"model '{source.name}' has not been exported yet, and that needs {', '.join(missing)}: "
            f"pip install 'cacheguard[{extra}]'"
        )


def _make(source: Source, precision: Precision, folder: Path) -> None:
    """Export beside `folder`, then put the result in its place at once: nobody ever sees half of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".exporting-") as scratch:
        made = Path(scratch) / "export"
        made.mkdir()
        _run_exporter(source, precision, made)
        _put(made, folder, aside=Path(scratch) / "torn")


def _put(made: Path, folder: Path, aside: Path) -> None:
    """Rename `made` to `folder`; a torn one there goes aside, a sound one of another process stays."""
    with suppress(FileNotFoundError, ModelCorrupt):
        read(folder)
        return
    with suppress(FileNotFoundError):
        folder.replace(aside)
    try:
        made.replace(folder)
    except OSError:
        read(folder)  # another process was faster by a moment


def _run_exporter(source: Source, precision: Precision, folder: Path) -> None:
    """In a process of its own: torch takes 400 MB and never gives them back."""
    command = [sys.executable, "-m", "embeddings.sentence_transformer"]
    arguments = [source.name, source.place, source.weights_sha256, precision, str(folder)]
    ran = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode:
        lines = ran.stderr.strip().splitlines() or [f"its exporter ended with {ran.returncode}"]
        raise FAILURES.get(ran.returncode, EmbeddingError)(lines[-1])
