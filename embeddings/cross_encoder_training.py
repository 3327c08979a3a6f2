"""Fine-tunes a sentence-transformers CrossEncoder and exports it: run as a process of its own by `fine_tuning`."""

from __future__ import annotations

import json
import random
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings.base import EmbeddingError, ModelMissing
from embeddings.cross_encoder import CrossEncoder as Served
from embeddings.export import MODEL_FILE, TOKENIZER_FILE, Precision, told
from embeddings.files import Source, check_weights, sha256_of_file
from embeddings.fine_tuning import CrossManifest, Pair, read_cross_encoder
from embeddings.tracing import write_graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch
    from sentence_transformers import CrossEncoder

_SEED = 1
_EPOCHS = 2
_BATCH = 32
# Of these many batches, pairs of like length go together: so little of a batch is padding.
_SORTED_TOGETHER = 20
_LEARNING_RATE = 1e-4
_WEIGHT_DECAY = 0.01
_WARMING_UP = 0.1
_STEEPEST = 1.0  # longest gradient that is followed whole
_MAX_TOKENS = 128  # of both texts; questions have 15 to 20
# An export whose logits stray further than this from the model's is refused. all-MiniLM-L6-v2 int8: see its tests.
_FARTHEST = 0.5
_CHECKED = 32
_SHAPED_BY = 8


def train(source: Source, pairs: Sequence[Pair], precision: Precision, max_minutes: float, folder: Path) -> None:
    """Write model, tokenizer and manifest into `folder`. Raises EmbeddingError and its kinds."""
    import torch  # noqa: PLC0415  # in this process only

    torch.manual_seed(_SEED)
    model = _load(source)
    whole = _whole(model, pairs)
    begun = time.monotonic()
    taught = _teach(model, whole, max_minutes * 60)
    seconds = round(time.monotonic() - begun, 1)
    network: Any = model.model.eval()
    _write_tokenizer(model, folder / TOKENIZER_FILE)
    write_graph(
        lambda fed: network(**fed).logits,
        network,
        _features(model, whole[:2]),
        output="logits",
        precision=precision,
        path=folder / MODEL_FILE,
    )
    CrossManifest(
        name=source.name,
        precision=precision,
        max_tokens=_MAX_TOKENS,
        pairs=taught,
        seconds=seconds,
        model_sha256=sha256_of_file(folder / MODEL_FILE),
        tokenizer_sha256=sha256_of_file(folder / TOKENIZER_FILE),
    ).write(folder)
    _check_against_original(model, whole[:_CHECKED], folder)


def _load(source: Source) -> CrossEncoder:
    from sentence_transformers import CrossEncoder  # noqa: PLC0415

    local = Path(source.place).is_dir()
    try:
        if source.weights_sha256 and local:
            check_weights(Path(source.place) / "model.safetensors", source.weights_sha256)
        return CrossEncoder(
            source.place,
            num_labels=1,
            max_length=_MAX_TOKENS,
            device="cpu",
            local_files_only=local,
            model_kwargs={"attn_implementation": "eager"},  # the fused kinds can't be traced
        )
    except EmbeddingError:
        raise
    except Exception as exc:  # the hub, torch and transformers each raise their own kinds
        reason = str(exc).strip().partition("\n")[0]
        raise ModelMissing(f"model '{source.name}' can't be loaded ({reason}): check its name or its files") from exc


def _teach(model: CrossEncoder, pairs: Sequence[Pair], limit_s: float) -> int:
    """How many pairs were shown to it. The step shrinks to nothing towards the end of the pairs or of the time."""
    import torch  # noqa: PLC0415

    network: Any = model.model
    # Half of the weights, and most words of a route are seldom seen: tuned, they would fit those few.
    network.get_input_embeddings().requires_grad_(requires_grad=False)
    free = [weights for weights in network.parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(free, lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # in later versions
    halves = torch.autocast("cpu", torch.bfloat16, enabled=capabilities.get("amx_bf16", False))
    network.train()
    shown = 0
    for batch, done in _paced(_batches(pairs), limit_s):
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * min(done / _WARMING_UP, 1 - done)
        with halves:
            logits = network(**_features(model, batch)).logits[:, 0]
        right = torch.tensor([float(pair.same) for pair in batch])
        torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), right).backward()
        torch.nn.utils.clip_grad_norm_(free, _STEEPEST)
        optimiser.step()
        optimiser.zero_grad()
        shown += len(batch)
    return shown


def _batches(pairs: Sequence[Pair]) -> list[Sequence[Pair]]:
    """All pairs, each as often as there are epochs, in a new order every time."""
    chance = random.Random(_SEED)
    batches: list[Sequence[Pair]] = []
    for _ in range(_EPOCHS):
        shuffled = iter(chance.sample(pairs, len(pairs)))
        while near := sorted(
            islice(shuffled, _BATCH * _SORTED_TOGETHER), key=lambda pair: len(pair.asked + pair.known)
        ):
            together = [near[at : at + _BATCH] for at in range(0, len(near), _BATCH)]
            batches += chance.sample(together, len(together))
    return batches


def _paced(batches: Sequence[Sequence[Pair]], limit_s: float) -> Iterator[tuple[Sequence[Pair], float]]:
    """Each batch, and which part of the way it ends: of the batches, or of the time where that is shorter."""
    begun = time.monotonic()
    for number, batch in enumerate(batches, 1):
        done = max(number / (len(batches) + 1), (time.monotonic() - begun) / limit_s)
        if done >= 1:
            return
        yield batch, done


def _whole(model: CrossEncoder, pairs: Sequence[Pair]) -> list[Pair]:
    """Those that the model reads to their ends. Raises EmbeddingError where they don't teach to tell pairs apart."""
    tokens = model.tokenizer([pair.asked for pair in pairs], [pair.known for pair in pairs])["input_ids"]
    whole = [pair for pair, ids in zip(pairs, tokens, strict=True) if len(ids) <= _MAX_TOKENS]
    if len({pair.same for pair in whole}) < 2:  # noqa: PLR2004 - alike and different
        raise EmbeddingError(
            f"of {len(pairs)} pairs, {len(whole)} can be read whole, and they are all alike or all different"
        )
    return whole


def _features(model: CrossEncoder, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
    asked, known = [pair.asked for pair in pairs], [pair.known for pair in pairs]
    # Memory is kept for every shape that was seen.
    features = model.tokenizer(asked, known, padding=True, pad_to_multiple_of=_SHAPED_BY, return_tensors="pt")
    return dict(features)


def _write_tokenizer(model: CrossEncoder, path: Path) -> None:
    """With truncation and padding set as the serving path will do them."""
    tokenizer: Any = model.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EmbeddingError("the model has no fast tokenizer: choose one with a tokenizer.json")
    backend.enable_truncation(_MAX_TOKENS)
    backend.enable_padding(
        direction=tokenizer.padding_side, pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token
    )
    backend.save(str(path))


def _check_against_original(model: CrossEncoder, pairs: Sequence[Pair], folder: Path) -> None:
    """Raises EmbeddingError when the export, run as it will be served, says something else than the model."""
    import torch  # noqa: PLC0415

    with torch.no_grad():
        original = model.model(**_features(model, pairs)).logits[:, 0].numpy()
    served = Served(read_cross_encoder(folder))
    exported = np.concatenate([served.score(pair.asked, [pair.known]) for pair in pairs])
    farthest = float(np.abs(exported - original).max())
    if not farthest <= _FARTHEST:
        raise EmbeddingError(
            f"the export of '{model.model.name_or_path}' strays by {farthest:.2f} logits from what was trained, "
            f"at most {_FARTHEST} is wanted: use fp32, or begin with another model"
        )


def main(arguments: list[str]) -> int:
    """NAME PLACE WEIGHTS_SHA256 PRECISION MAX_MINUTES FOLDER; pairs come as lines of JSON on stdin.

    A failure's kind is the exit code, its message the last line.
    """
    name, place, weights_sha256, precision, max_minutes, folder = arguments
    try:
        chosen: Precision = "fp32" if precision == "fp32" else "int8"
        pairs = [Pair(*json.loads(line)) for line in sys.stdin]
        source = Source(name, place, identity="", weights_sha256=weights_sha256)
        train(source, pairs, chosen, float(max_minutes), Path(folder))
    except EmbeddingError as exc:
        return told(exc)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
