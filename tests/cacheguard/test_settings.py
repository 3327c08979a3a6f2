"""The tree: what it holds, what it fills in, what it shows."""

from __future__ import annotations

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from cacheguard.settings import ModelTier, Settings, TemplateTier, effective, effective_yaml, json_schema, load

LOCAL = {"local": {"kind": "openai", "base_url": "http://127.0.0.1:11434/v1"}}
TIERS = {
    "sorry": {"template": "Later, please."},
    "small": {"provider": "local", "model": "llama3.2"},
    "large": {"provider": "local", "model": "llama3.3"},
}


def settings(**sections):
    return Settings.model_validate({"providers": LOCAL, "tiers": TIERS, **sections})


def test_every_setting_is_documented():
    sections = {"cacheguard.yaml": json_schema(), **json_schema()["$defs"]}
    silent = [
        f"{section}.{name}"
        for section, schema in sections.items()
        for name, setting in schema["properties"].items()
        if not setting.get("description")
    ]
    assert silent == []


def test_every_number_carries_its_unit_in_its_name_or_has_none():
    units = ("_s", "_ms", "_chars", "_mb", "_usd_per_mtok")
    counts = {"port", "max_in_flight", "max_attempts", "workers", "minimum_calls", "samples", "shards", "size"}
    ratios = {"min_similarity", "min_confidence", "share", "hits", "near_misses"}
    unnamed = [
        name
        for schema in json_schema()["$defs"].values()
        for name, setting in schema["properties"].items()
        if setting.get("type") in ("number", "integer") and not name.endswith(units) and name not in counts | ratios
    ]
    assert unnamed == []


def test_the_schema_refuses_unknown_keys_in_every_section():
    assert all(schema["additionalProperties"] is False for schema in json_schema()["$defs"].values())


def test_settings_never_change():
    with pytest.raises(ValidationError):
        settings().server.port = 1


def test_a_missing_default_route_asks_every_tier_in_order_and_templates_last():
    routes = settings(routes={"faq": {"tiers": ["small"]}}).routes
    assert list(routes) == ["faq", "default"]
    assert routes["default"].tiers == ("small", "large", "sorry")


def test_a_given_default_route_stays_as_it_is():
    assert settings(routes={"default": {"tiers": ["large"]}}).routes["default"].tiers == ("large",)


def test_a_tier_is_a_model_or_a_template():
    tiers = settings().tiers
    assert isinstance(tiers["sorry"], TemplateTier)
    assert isinstance(tiers["small"], ModelTier)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 — nothing is bound here
        ("::", False),
        ("192.168.1.4", False),
        ("example.org", False),
    ],
)
def test_a_host_is_local_when_only_this_machine_reaches_it(host, is_local):
    keys = {"keys": [{"key": "k"}]}
    assert settings(server={"host": host}, auth=keys).server.is_local is is_local


def test_the_place_of_vector_sets_is_shown_without_its_password():
    index = settings(index={"backend": "redis", "url": "redis://ann:secret@host/2"}).index
    assert index.model_dump(mode="json")["url"] == "redis://ann@host:6379/2"
    assert "secret" not in repr(index)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///./.cacheguard/cache.db", ".cacheguard/cache.db"),
        ("sqlite:////var/lib/cacheguard.db", "/var/lib/cacheguard.db"),
        ("memory://", "None"),
    ],
)
def test_a_store_is_a_file_or_memory(url, path):
    assert str(settings(store={"url": url}).store.sqlite_path) == path


@pytest.mark.parametrize(("given", "taken"), [("auto", "auto"), ("0.93", 0.93), (1, 1.0)])
def test_a_decision_is_auto_or_a_threshold(given, taken):
    routes = {"default": {"tiers": ["small"], "cache": {"decision": given}}}
    assert settings(routes=routes).routes["default"].cache.decision == taken


def test_secrets_are_masked_wherever_settings_are_shown():
    keyed = settings(
        auth={"keys": [{"key": "client-secret", "tenant": "acme"}]},
        embedding={"model": "openai:small", "api_key": "embedding-secret"},
        providers={"local": {**LOCAL["local"], "api_key": "model-secret", "headers": {"X-Key": "header-secret"}}},
    )
    for shown in (effective_yaml(keyed), repr(keyed), str(effective(keyed))):
        assert "secret" not in shown
    assert effective(keyed)["auth"]["keys"][0]["key"] == str(SecretStr("x"))
    assert effective(settings())["providers"]["local"]["api_key"] == ""


def test_the_effective_settings_are_a_file_that_means_the_same(tmp_path):
    before = load(None, {}, tmp_path).settings
    (tmp_path / "cacheguard.yaml").write_text(effective_yaml(before), "utf-8")
    assert load(None, {}, tmp_path).settings == before


def test_the_effective_settings_name_keys_as_a_file_does():
    assert yaml.safe_load(effective_yaml(settings()))["routes"]["default"]["validate"] == [
        "not_empty",
        "complete",
        "not_refusal",
    ]


def test_a_password_in_the_stores_url_is_not_shown():
    found = settings(store={"url": "redis://me:s3cret@cache:6379/1"})
    assert effective(found)["store"]["url"] == found.store.shown == "redis://me@cache:6379/1"
    assert "s3cret" not in effective_yaml(found) + repr(found)
    assert found.store.redis.password in found.store.url
