"""The bundled model's export, made once into the usual cache; and small models of other kinds, made on the spot."""

from __future__ import annotations

import pytest
from small_models import save_small_model

from embeddings.export import prepare, read
from embeddings.files import Source
from embeddings.onnx import Encoder
from embeddings.sentence_transformer import export


@pytest.fixture(scope="session")
def bundled():
    return Encoder(prepare("bundled"))


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """A function that saves a small random BERT with some pooling as a sentence-transformers folder."""
    pytest.importorskip("torch")

    def make(pooling="cls", **rest):
        return save_small_model(tmp_path_factory.mktemp("model"), pooling, **rest)

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
