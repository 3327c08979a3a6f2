from __future__ import annotations

import json

import yaml
from programs import configure, run


def test_check_passes_what_would_start_and_notes_what_is_open(tmp_path):
    configure(tmp_path, "http://127.0.0.1:9/v1")
    done = run(tmp_path, "config", "check")
    assert done.returncode == 0
    assert done.stdout.startswith("cacheguard.yaml: fine\n  auth: no keys")


def test_check_names_a_wrong_key_and_its_line(tmp_path):
    (tmp_path / "other.yaml").write_text("stroe: {}\n")
    done = run(tmp_path, "config", "check", "--config", "other.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cacheguard: other.yaml, line 1: stroe is unknown; did you mean 'store'?")


def test_schema_prints_a_json_schema(tmp_path):
    assert "store" in json.loads(run(tmp_path, "config", "schema").stdout)["properties"]


def test_show_prints_settings_that_can_be_read_again_but_no_secret(tmp_path):
    shown = run(tmp_path, "config", "show", OPENAI_API_KEY="sk-secret").stdout
    assert "sk-secret" not in shown
    assert yaml.safe_load(shown)["store"]["url"] == "sqlite:///./.cacheguard/cache.db"
