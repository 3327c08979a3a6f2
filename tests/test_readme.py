"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from cacheguard.cli import make_program
from cacheguard.settings import load

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = dict.fromkeys(set(re.findall(r"\$\{(\w+)\}", README)), "some-key")


def settings_in(text, folder):
    (folder / "cacheguard.yaml").write_text(text, encoding="utf-8")
    return load(None, ENVIRONMENT, folder).settings


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
def test_its_settings_load(example, tmp_path):
    assert settings_in(example, tmp_path).routes


@pytest.mark.parametrize("provider", re.findall(r"\| `(\{kind: .*?\})` \|", README))
def test_its_providers_load(provider, tmp_path):
    text = f"providers: {{host: {provider}}}\ntiers: {{one: {{provider: host, model: m}}}}\n"
    assert settings_in(text, tmp_path).providers["host"]


@pytest.mark.parametrize("check", re.findall(r"^\| `([a-z]\w+(?:: \{.*?\})?)` \|", README, re.MULTILINE))
def test_its_checks_load(check, tmp_path):
    example = check if ": " not in check else f"{{{check}}}"
    text = f"tiers: {{one: {{template: Later.}}}}\nroutes: {{default: {{tiers: [one], validate: [{example}]}}}}\n"
    assert settings_in(text, tmp_path).routes["default"].validators


def test_it_shows_every_command():
    missing = {name for name in get_command(make_program()).commands if f"`cacheguard {name}" not in README}
    assert missing == set()
