"""The bundled model's export, made once into the usual cache; and small models of other kinds, made on the spot."""

from __future__ import annotations

import pytest

from embeddings.export import prepare, read
from embeddings.files import Source
from embeddings.onnx import Encoder
from embeddings.sentence_transformer import export

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


@pytest.fixture(scope="session")
def bundled():
    return Encoder(prepare("bundled"))


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """A function that saves a small random BERT with some pooling as a sentence-transformers folder."""
    torch = pytest.importorskip("torch")
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer  # noqa: PLC0415
    from transformers import BertConfig, BertModel, BertTokenizer  # noqa: PLC0415

    def make(pooling="cls", *, dense=False, seed=0):
        torch.manual_seed(seed)
        folder = tmp_path_factory.mktemp("model")
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

    return make


@pytest.fixture(scope="session")
def cls_model(make_model):
    return make_model("cls", dense=True)


@pytest.fixture
def export_here(tmp_path_factory):
    """A function that exports a folder in this process, which has torch loaded, and not in one of its own."""

    def here(folder, precision="fp32"):
        made = tmp_path_factory.mktemp("export")
        export(Source("small", str(folder), identity=""), precision, made)
        return read(made)

    return here


@pytest.fixture(scope="session")
def cache(cls_model, tmp_path_factory):
    """A cache folder that holds the export of `cls_model` in float32."""
    folder = tmp_path_factory.mktemp("cache")
    prepare(str(cls_model), "fp32", folder)
    return folder
