"""Reads two texts together and says whether they ask the same: slower and keener than comparing their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from embeddings.base import EmbeddingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from embeddings.fine_tuning import CrossExport

# No word piece stands for more characters: what is longer than this many times max_tokens is too long unread.
_CHARACTERS_A_TOKEN = 100


class TooLong(EmbeddingError):
    """Two texts are longer than the model reads: what it would say, it would say of their beginnings."""


class PairScorer(Protocol):
    """Holds a text against others."""

    def score(self, text: str, others: Sequence[str]) -> NDArray[np.float32]:
        """Logits that they ask the same, float32 (n,), in the order of `others`. Blocks. Raises EmbeddingError."""
        ...


class CrossEncoder:
    """By ONNX Runtime, in the calling thread. Any number of threads may call at once."""

    def __init__(self, export: CrossExport) -> None:
        self._manifest = export.manifest
        self._tokenizer = Tokenizer.from_str(export.tokenizer)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # it is kept for every shape ever seen, and shapes never end
        self._session = ort.InferenceSession(export.model, options, providers=["CPUExecutionProvider"])
        self._inputs = [node.name for node in self._session.get_inputs()]

    def score(self, text: str, others: Sequence[str]) -> NDArray[np.float32]:
        """As PairScorer. Raises TooLong when a pair can't be read whole."""
        if not others:
            return np.empty(0, np.float32)
        most = self._manifest.max_tokens * _CHARACTERS_A_TOKEN
        if len(text) + max(map(len, others)) > most:
            raise TooLong(f"a pair has more than {most} characters")
        readable, *rest = (one.encode(errors="replace").decode() for one in (text, *others))  # JSON lets surrogates by
        encodings = self._tokenizer.encode_batch([(readable, other) for other in rest])
        if any(encoding.overflowing for encoding in encodings):
            raise TooLong(f"a pair has more than {self._manifest.max_tokens} tokens")
        fed = {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "token_type_ids": np.array([encoding.type_ids for encoding in encodings], np.int64),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings], np.int64),
        }
        try:
            (logits,) = self._session.run(None, {name: fed[name] for name in self._inputs})
        except Exception as exc:  # ONNX Runtime's errors have no base of their own
            raise EmbeddingError(f"cross-encoder '{self._manifest.name}' failed on {len(others)} pairs: {exc}") from exc
        return np.asarray(logits, np.float32).reshape(-1)
