"""Who runs the service sees how well each tier is, and says when somebody has seen to one."""

from __future__ import annotations

import pytest
from services import running

KEYS = """
auth:
  keys:
  - {key: key-of-ann, tenant: ann}
  - {key: key-of-eve, tenant: eve, admin: true}
"""
SETTINGS = """
store: {url: "sqlite:///${FOLDER}/cache.db"}
index: {folder: "${FOLDER}/index"}
providers:
  host: {kind: openai, base_url: "${PROVIDER}", api_key: host-key-7f3a}
tiers:
  strong: {provider: host, model: strong-model}
  cheap: {provider: host, model: cheap-model}
  sorry: {template: "Later."}
routes: {default: {tiers: [strong, cheap, sorry]}}
"""
SICK = 6  # calls: one more than open a breaker


def tiers(asker):
    """Each tier as it is now, by name."""
    return {tier["name"]: tier for tier in asker.get("/admin/api/tiers").json()["tiers"]}


def ask_often(asker, times=SICK, **rest):
    for number in range(times):
        asker.ask(f"What is {number} squared?", **rest)


def test_a_tier_that_is_well_says_so(asker):
    ask_often(asker, 2)
    assert tiers(asker)["strong"] == {
        "name": "strong",
        "provider": "host",
        "model": "strong-model",
        "state": "closed",
        "reason": None,
        "retry_at": None,
        "retry_in_s": 0,
        "blocks": [],
        "last_minute": {"calls": 2, "well": 2, "transport": 0, "slow": 0, "content": 0},
        "schemas": {"closed": 1, "open": 0, "half-open": 0},
    }
    assert tiers(asker)["sorry"]["model"] is None


def test_a_sick_tier_says_why_it_is_left_alone_and_until_when(asker, provider):
    provider.play({"when": {"model": "strong-model"}, "then": {"status": 500}})
    ask_often(asker)
    strong, cheap = tiers(asker)["strong"], tiers(asker)["cheap"]
    assert (strong["state"], strong["reason"]) == ("open", "transport: 5 of 5 calls")
    assert strong["last_minute"]["transport"] >= 5
    assert strong["retry_in_s"] > 0
    assert strong["retry_at"].endswith("+00:00")
    assert cheap["state"] == "closed"


def test_answers_of_no_use_are_counted_apart(asker, provider):
    provider.play({"when": {"model": "strong-model"}, "then": {"text": ""}})
    ask_often(asker)
    strong = tiers(asker)["strong"]
    assert (strong["state"], strong["reason"]) == ("open", "content: 5 of 5 calls")
    assert strong["last_minute"] == {"calls": 5, "well": 0, "transport": 0, "slow": 0, "content": 5}
    assert strong["schemas"]["open"] == 1


@pytest.mark.parametrize(
    ("then", "reason", "shared"),
    [
        ({"status": 429, "retry_after_s": 170}, "rate_limit", False),
        ({"status": 402}, "quota", True),
        ({"status": 401}, "auth", True),
    ],
)
def test_what_a_host_asked_for_is_shown_as_a_block(asker, provider, then, reason, shared):
    """A dead account stops every model that is asked with its key."""
    provider.play({"when": {"model": "strong-model"}, "then": then})
    asker.ask()
    strong, cheap = tiers(asker)["strong"], tiers(asker)["cheap"]
    assert (strong["state"], strong["reason"]) == ("open", reason)
    assert strong["blocks"] == [{"reason": reason, "until": strong["retry_at"]}]
    assert (cheap["state"] == "open") is shared


def test_a_dead_key_is_shown_by_its_number_while_another_answers(tmp_path):
    keys = SETTINGS.replace("api_key: host-key-7f3a", "api_keys: [host-key-7f3a, host-key-9c1b]")
    with running(tmp_path, keys) as service:
        asker = service.asker()
        service.provider.play({"when": {"calls": {"to": 1}}, "then": {"status": 401}})
        assert asker.ask().headers["x-cacheguard-tier"] == "strong"
        strong = tiers(asker)["strong"]
        assert strong["state"] == "closed"
        assert [(block["reason"], block["key"]) for block in strong["blocks"]] == [("auth", 1)]
        assert 'cacheguard_key_left_alone{key="1",tier="cheap"} 1.0' in asker.get("/metrics").text


def test_a_tier_that_somebody_has_seen_to_is_asked_at_once(asker, provider):
    provider.play({"when": {"model": "strong-model"}, "then": {"status": 401}})
    asker.ask()
    provider.play()
    seen_to = asker.post("/admin/api/tiers/strong/reset")
    assert seen_to.json() == tiers(asker)["strong"]
    assert seen_to.json()["state"] == "closed"
    assert asker.ask("And now?").headers["x-cacheguard-tier"] == "strong"


def test_an_unknown_tier_is_named_with_those_that_are_known(asker):
    unknown = asker.post("/admin/api/tiers/stronk/reset")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "tier_not_found"
    assert "'stronk'; known: strong, cheap, sorry" in unknown.json()["error"]["message"]


def test_only_an_administrators_key_opens_it_once_there_are_keys(tmp_path):
    with running(tmp_path, SETTINGS + KEYS) as service:
        for path, method in (("/admin/api/tiers", "get"), ("/admin/api/tiers/strong/reset", "post")):
            refused = [getattr(service.asker(key=key), method)(path) for key in ("", "key-of-nobody", "key-of-ann")]
            assert [response.status_code for response in refused] == [401, 401, 403]
            assert refused[-1].json()["error"]["type"] == "permission_error"
            assert "admin: true" in refused[-1].json()["error"]["message"]
            assert getattr(service.asker(key="key-of-eve"), method)(path).status_code == 200


def test_without_keys_it_is_shut_where_others_than_this_machine_can_ask(tmp_path):
    with running(tmp_path, SETTINGS + "server: {host: 0.0.0.0}\nauth: {mode: none}\n") as service:
        assert service.asker().get("/admin/api/tiers").status_code == 403
