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


def choices(section):
    """What the first column of a section's table says: names, and mappings of a name to its options."""
    table = README.split(f"### {section}\n", maxsplit=1)[1].split("###", maxsplit=1)[0]
    rows = re.findall(r"^\| (`[a-z].*?`) \|", table, re.MULTILINE)
    said = [choice for row in rows for choice in re.findall(r"`(.*?)`", row)]
    return [choice if ": " not in choice else f"{{{choice}}}" for choice in said]


TIERS = """
providers: {host: {kind: openai, base_url: "http://127.0.0.1:1/v1"}}
tiers: {strong: &model {provider: host, model: m}, cheap: *model, new: *model}
"""


@pytest.mark.parametrize("check", choices("Checks"))
def test_its_checks_load(check, tmp_path):
    text = f"{TIERS}routes: {{default: {{tiers: [cheap], validate: [{check}]}}}}\n"
    assert settings_in(text, tmp_path).routes["default"].validators


@pytest.mark.parametrize("strategy", choices("Which tier is asked"))
def test_its_strategies_load(strategy, tmp_path):
    text = f"{TIERS}routes: {{default: {{tiers: [strong, cheap, new], strategy: {strategy}}}}}\n"
    assert settings_in(text, tmp_path).routes["default"].strategy


def test_it_shows_every_command():
    missing = {name for name in get_command(make_program()).commands if f"`cacheguard {name}" not in README}
    assert missing == set()
