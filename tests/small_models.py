"""Models small enough to be made, exported and taught within a test."""

from __future__ import annotations

from itertools import cycle, islice

WORDS = [
    "where",
    "is",
    "my",
    "card",
    "when",
    "will",
    "it",
    "come",
    "the",
    "order",
    "has",
    "not",
    "arrived",
    "yet",
    "i",
    "a",
    "new",
    "hi",
    "two",
    "weeks",
    "ago",
]


def save_small_model(folder, pooling="cls", *, dense=False, seed=0):
    """A random BERT that knows `WORDS`, with some pooling, saved as a sentence-transformers folder."""
    import torch  # noqa: PLC0415
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer  # noqa: PLC0415
    from transformers import BertConfig, BertModel, BertTokenizer  # noqa: PLC0415

    torch.manual_seed(seed)
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.3,  # random layers that still tell texts apart
    )
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizer(vocab=vocabulary, model_max_length=128).save_pretrained(folder / "bert")
    parts = [Transformer(str(folder / "bert")), Pooling(32, pooling)]
    if dense:
        parts.append(Dense(32, 16))
    SentenceTransformer(modules=parts, device="cpu").save(str(folder / "saved"))
    return folder / "saved"


ASKED, *OTHERS = (
    "where is my card",
    "when will it come",
    "the order has not arrived yet",
    "i a new hi",
    "two weeks ago",
)


def easy_pairs(count):
    """Asked, known, and whether they are the same, in turn: so little that two small layers learn it in seconds."""
    for other in islice(cycle(OTHERS), count):
        yield ASKED, ASKED, True
        yield ASKED, other, False
