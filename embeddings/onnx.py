"""The serving path: tokenizers and ONNX Runtime, no torch."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from embeddings.base import Embedded, EmbeddingError
from embeddings.scripts import is_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Encoding

    from embeddings.base import EmbedderSpec
    from embeddings.export import Export

# Texts in one pass through the model: 1.7 ms of processor time a text; 32 take 2.2 ms, one alone 2.7 ms.
_PASS = 16
# A pass ends before a text this many times as long as its shortest: padding would cost more than a new pass.
_STRETCH = 1.25
# Word pieces are shorter than this; what lies past max_tokens times it can't be read, and reading 1 MB to
# throw it away takes the tokenizer 0.5 s.
_CHARACTERS_A_TOKEN = 100
_TINY = np.finfo(np.float32).tiny


class Encoder:
    """Texts to unit vectors, in the calling thread. Any number of threads may call at once.

    One thread a call: two take twice the processor time a text in batches (4.0 against 1.7 ms), waiting for
    each other, and on a busy machine they are slower alone too.
    """

    def __init__(self, export: Export) -> None:
        self._manifest = export.manifest
        self._tokenizer = Tokenizer.from_str(export.tokenizer)
        padding = self._tokenizer.padding or {}
        self._pad_id = int(padding.get("pad_id", 0))
        self._pad_left = padding.get("direction") == "left"
        self._tokenizer.no_padding()
        self._scripts = frozenset(self._manifest.scripts)
        self._unknown = self._tokenizer.token_to_id(getattr(self._tokenizer.model, "unk_token", None) or "")
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # A pattern of memory is kept for every shape of batch ever seen, and shapes never end.
        options.enable_mem_pattern = False
        self._session = ort.InferenceSession(export.model, options, providers=["CPUExecutionProvider"])
        self._inputs = [node.name for node in self._session.get_inputs()]

    @property
    def spec(self) -> EmbedderSpec:
        return self._manifest.spec

    def encode(self, texts: Sequence[str]) -> Embedded:
        """Vectors in the order of `texts`, in passes of texts of similar length. Raises EmbeddingError."""
        vectors = np.empty((len(texts), self.spec.dimension), np.float32)
        readable, cut = self._readable(texts)
        encodings = self._tokenizer.encode_batch_fast(readable)
        order = sorted(range(len(encodings)), key=lambda i: len(encodings[i]))
        for start, end in pairwise(_passes([len(encodings[i]) for i in order])):
            rows = order[start:end]
            vectors[rows] = self._run([encodings[i] for i in rows])
        unread = map(self._is_unread, readable, encodings)
        return Embedded(vectors, tuple(c or u for c, u in zip(cut, unread, strict=True)))

    def _is_unread(self, text: str, encoding: Encoding) -> bool:
        """Whether its end lies past what the model reads, or words are in letters that it does not know."""
        if encoding.overflowing or not is_within(text, self._scripts):
            return True
        if self._unknown not in encoding.ids:
            return False
        # Two such words have one vector: the tokenizer knows none of more than 100 letters, as keys and hashes have.
        spelt = self._tokenizer.encode(text)
        unknown = [span for piece, span in zip(spelt.ids, spelt.offsets, strict=True) if piece == self._unknown]
        return any(map(str.isalnum, "".join(text[start:end] for start, end in unknown)))

    def _readable(self, texts: Sequence[str]) -> tuple[list[str], list[bool]]:
        """As much of each text as the model could read, without half characters that JSON lets through."""
        most = self.spec.max_tokens * _CHARACTERS_A_TOKEN
        whole = [self._manifest.prompt + text.encode(errors="replace").decode() for text in texts]
        return [text[:most] for text in whole], [len(text) > most for text in whole]

    def _run(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        shape = (len(encodings), max(1, *map(len, encodings)))
        ids = np.full(shape, self._pad_id, np.int64)
        types, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            part = slice(-len(encoding), None) if self._pad_left else slice(len(encoding))
            ids[row, part], types[row, part], mask[row, part] = encoding.ids, encoding.type_ids, 1
        fed = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}
        try:
            (vectors,) = self._session.run(None, {name: fed[name] for name in self._inputs})
        except Exception as exc:  # ONNX Runtime's errors have no base of their own
            raise EmbeddingError(f"model '{self.spec.name}' failed on {shape[0]} texts: {exc}") from exc
        return _unit(vectors)


def _passes(lengths: Sequence[int]) -> list[int]:
    """Where passes begin and the last one ends, for token counts in ascending order."""
    borders = [0]
    for i, length in enumerate(lengths):
        if i - borders[-1] == _PASS or length > _STRETCH * max(lengths[borders[-1]], 8):
            borders.append(i)
    return [*borders, len(lengths)] if lengths else []


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every row of length 1, whether or not the model normalises; a row of zeros, which has no direction, stays."""
    lengths = np.sqrt(np.vecdot(vectors, vectors))[:, np.newaxis]
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, _TINY)
    return unit
