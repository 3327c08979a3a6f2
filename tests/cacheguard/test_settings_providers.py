"""Hosts as a file names them."""

from __future__ import annotations

import pytest

from cacheguard.errors import ConfigError
from cacheguard.settings import effective, load


@pytest.fixture
def loaded(tmp_path):
    """The provider that stands so in a file."""

    def load_provider(provider):
        (tmp_path / "cacheguard.yaml").write_text(f"tiers: {{a: {{template: hi}}}}\nproviders: {{p: {provider}}}\n")
        return load(None, {}, tmp_path).settings

    return load_provider


@pytest.mark.parametrize(
    ("given", "keys"),
    [("", ("",)), ("api_key: a", ("a",)), ("api_keys: [a]", ("a",)), ("api_keys: [a, b]", ("a", "b"))],
)
def test_a_provider_has_no_key_or_one_or_several(loaded, given, keys):
    assert loaded(f"{{kind: anthropic, {given}}}").providers["p"].keys == keys


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("api_key: hunter2, api_keys: [b]", "api_keys stands beside api_key: keep one of them"),
        ('api_keys: [hunter2, ""]', "api_keys[1] is empty: take it out"),
        ("api_keys: [hunter2, b, hunter2]", "api_keys holds one key twice"),
    ],
)
def test_keys_that_cannot_take_turns_are_refused(loaded, given, why):
    with pytest.raises(ConfigError) as refused:
        loaded(f"{{kind: anthropic, {given}}}")
    assert f"line 2: providers.p.{why}" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_every_one_of_several_keys_is_masked(loaded):
    shown = effective(loaded("{kind: anthropic, api_keys: [hunter2, hunter3]}"))
    assert shown["providers"]["p"]["api_keys"] == ["**********"] * 2
