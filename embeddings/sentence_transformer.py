"""Any sentence-transformers model, exported to ONNX: run as a process of its own by `embeddings.export`.

The graph holds the whole way from token ids to the vector: transformer, pooling, dense layers, normalisation.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings.base import EmbeddingError, ModelMissing
from embeddings.export import (
    EXPORTER_VERSION,
    MODEL_FILE,
    TOKENIZER_FILE,
    Manifest,
    Precision,
    read,
    told,
)
from embeddings.files import Source, check_weights, sha256_of_file
from embeddings.scripts import scripts_read
from embeddings.tracing import write_graph

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_EXPORTABLE = {"Transformer", "Pooling", "Dense", "Normalize"}
_LONGEST = 8192  # tokens, where the model itself names no limit
# Two texts of different lengths, so that tracing sees a batch, and padding in it.
_TRACED = ("Where is my card?", "I ordered a new card two weeks ago and it has not arrived yet.")
# int8 that moves a vector further than this from its original is refused. all-MiniLM-L6-v2: 0.991 at worst.
_LEAST_COSINE = 0.98


def export(source: Source, precision: Precision, folder: Path) -> None:
    """Write model, tokenizer and manifest into `folder`. Raises EmbeddingError and its kinds."""
    model = _load(source)
    _check_modules(model, source.name)
    max_tokens = min(model.max_seq_length or _LONGEST, _LONGEST)
    _write_tokenizer(model, max_tokens, folder / TOKENIZER_FILE)
    _write_graph(model, precision, folder / MODEL_FILE)
    prompt = model.prompts.get(model.default_prompt_name or "", "")
    settings = json.dumps(
        {type(module).__name__: module.get_config_dict() for module in list(model)[1:]}, sort_keys=True
    )
    weights = _sha256_of_weights(model)
    tokenizer_sha256 = sha256_of_file(folder / TOKENIZER_FILE)
    decides = [weights, settings, prompt, precision, tokenizer_sha256, str(max_tokens), str(EXPORTER_VERSION)]
    Manifest(
        name=source.name,
        dimension=int(model.get_embedding_dimension() or 0),
        max_tokens=max_tokens,
        precision=precision,
        prompt=prompt,
        settings=settings,
        source_sha256=weights,
        exporter_version=EXPORTER_VERSION,
        model_sha256=sha256_of_file(folder / MODEL_FILE),
        tokenizer_sha256=tokenizer_sha256,
        fingerprint=hashlib.sha256("\n".join(decides).encode()).hexdigest()[:16],
        scripts=_scripts(model),
    ).write(folder)
    _check_against_original(model, source.name, folder)


def _load(source: Source) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # torch: in this process only

    local = Path(source.place).is_dir()
    try:
        if source.weights_sha256:
            check_weights(_weights(source.place), source.weights_sha256)
        # Eager attention: the fused kinds can't be traced.
        return SentenceTransformer(
            source.place, device="cpu", local_files_only=local, model_kwargs={"attn_implementation": "eager"}
        ).eval()
    except EmbeddingError:
        raise
    except Exception as exc:  # the hub, torch and transformers each raise their own kinds
        reason = str(exc).strip().partition("\n")[0]
        way_out = "check its files" if local else "check its name and the network, or name a folder"
        raise ModelMissing(f"model '{source.name}' can't be loaded ({reason}): {way_out}") from exc


def _weights(place: str) -> Path:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    if Path(place).is_dir():
        return Path(place) / "model.safetensors"
    return Path(hf_hub_download(place, "model.safetensors"))


def _check_modules(model: SentenceTransformer, name: str) -> None:
    foreign = {type(module).__name__ for module in model} - _EXPORTABLE
    if foreign:
        raise EmbeddingError(
            f"model '{name}' has parts that can't be exported ({', '.join(sorted(foreign))}); "
            f"choose one made of {', '.join(sorted(_EXPORTABLE))}"
        )
    if getattr(model.tokenizer, "backend_tokenizer", None) is None:
        raise EmbeddingError(f"model '{name}' has no fast tokenizer: choose one with a tokenizer.json")


def _write_tokenizer(model: SentenceTransformer, max_tokens: int, path: Path) -> None:
    """With truncation and padding set as the serving path will do them."""
    tokenizer: Any = model.tokenizer
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_tokens)
    backend.enable_padding(
        direction=tokenizer.padding_side, pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token
    )
    backend.save(str(path))


def _scripts(model: SentenceTransformer) -> list[str]:
    """Told here and not at each start: spelling 30,000 pieces takes 0.07 s."""
    tokenizer: Any = model.tokenizer
    pieces = tokenizer.backend_tokenizer.decode_batch([[piece] for piece in tokenizer.get_vocab().values()])
    return sorted(scripts_read(pieces))


def _write_graph(model: SentenceTransformer, precision: Precision, path: Path) -> None:
    import torch  # noqa: PLC0415

    features = {k: v for k, v in model.preprocess(list(_TRACED)).items() if isinstance(v, torch.Tensor)}
    write_graph(
        lambda fed: model(fed)["sentence_embedding"],
        model,
        features,
        output="embedding",
        precision=precision,
        path=path,
    )


def _sha256_of_weights(model: SentenceTransformer) -> str:
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        total.update(f"{name} {tuple(tensor.shape)} ".encode())
        total.update(np.ascontiguousarray(tensor.float().numpy()).data)
    return total.hexdigest()


def _check_against_original(model: SentenceTransformer, name: str, folder: Path) -> None:
    """Raises EmbeddingError when the export, run as it will be served, gives other vectors than the model."""
    from embeddings.onnx import Encoder  # noqa: PLC0415

    texts = [*_TRACED, "hi", _TRACED[1] * 5]
    original = model.encode(texts, normalize_embeddings=True)
    cosine = float((original * Encoder(read(folder)).encode(texts).vectors).sum(axis=1).min())
    if not cosine >= _LEAST_COSINE:
        raise EmbeddingError(
            f"model '{name}' loses too much in its export (cosine {cosine:.3f} to the original, "
            f"at least {_LEAST_COSINE} is wanted): set precision to fp32, or choose another model"
        )


def main(arguments: list[str]) -> int:
    """NAME PLACE WEIGHTS_SHA256 PRECISION FOLDER; a failure's kind is the exit code, its message the last line."""
    name, place, weights_sha256, precision, folder = arguments
    try:
        chosen: Precision = "fp32" if precision == "fp32" else "int8"
        export(Source(name, place, identity="", weights_sha256=weights_sha256), chosen, Path(folder))
    except EmbeddingError as exc:
        return told(exc)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
