"""Hosts as a file names them."""

from __future__ import annotations

import pytest

from cacheguard.errors import ConfigError
from cacheguard.settings import effective, load
from cacheguard.wiring.tiers import make_tiers


@pytest.fixture
def loaded(tmp_path):
    """Settings with one provider, and a tier."""

    def load_provider(provider, tier="template: hi"):
        (tmp_path / "cacheguard.yaml").write_text(f"tiers: {{a: {{{tier}}}}}\nproviders: {{p: {provider}}}\n")
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


ENDPOINT = "{kind: http, base_url: 'http://127.0.0.1:9000/ask/'}"


def test_an_endpoints_address_is_asked_as_it_stands(loaded):
    provider = loaded(ENDPOINT).providers["p"]
    assert (provider.base_url, provider.answer_field) == ("http://127.0.0.1:9000/ask/", "answer")


def test_an_endpoint_has_no_models_and_its_tier_may_name_one_all_the_same(loaded):
    for tier, model in (("provider: p", "p"), ("provider: p, model: papers", "papers")):
        settings = loaded(ENDPOINT, tier)
        assert make_tiers(settings, {"p": None})["a"].model == model


@pytest.mark.parametrize(
    ("provider", "tier", "why"),
    [
        ("{kind: http}", "template: hi", "line 2: providers.p.base_url is missing"),
        (
            "{kind: http, base_url: 'http://x/ask?key=hunter2'}",
            "template: hi",
            "line 2: providers.p.base_url must end with its path: what follows a ? may be a key, which headers mask",
        ),
        (
            "{kind: gemini, answer_field: text}",
            "template: hi",
            "line 2: providers.p.answer_field is for kind http: gemini says where its answers stand",
        ),
        ("{kind: gemini}", "provider: p", "line 1: tiers.a.model is missing"),
    ],
)
def test_what_does_not_fit_an_endpoint_or_a_model_is_refused(loaded, provider, tier, why):
    with pytest.raises(ConfigError) as refused:
        loaded(provider, tier)
    assert str(refused.value) == f"cacheguard.yaml, {why}"
