"""Keys tell who a client is."""

from __future__ import annotations

import pytest

from cacheguard.errors import NoAdmin, Unauthorised
from cacheguard.tenants import Tenants

TENANTS = Tenants.of_keys({"key-of-ann": "ann", "second-key-of-ann": "ann", "key-of-bob": "bob"}, ["key-of-bob"])


@pytest.mark.parametrize(
    ("authorization", "tenant"),
    [
        ("Bearer key-of-ann", "ann"),
        ("Bearer second-key-of-ann", "ann"),
        ("bearer  key-of-bob ", "bob"),
    ],
)
def test_a_key_names_its_tenant(authorization, tenant):
    assert TENANTS.of(authorization) == tenant


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "key-of-ann",
        "Basic key-of-ann",
        "Bearer KEY-OF-ANN",
        "Bearer key-of-ann2",
        "Bearer ü",
    ],
)
def test_anything_else_is_refused_without_repeating_it(authorization):
    with pytest.raises(Unauthorised) as refused:
        TENANTS.of(authorization)
    assert "key-of" not in str(refused.value)


def test_without_keys_everyone_is_the_same_tenant():
    assert Tenants.of_keys({}).of(None) == Tenants.of_keys({}).of("Bearer whatever") == "default"


def test_an_administrators_key_opens_what_is_theirs_and_no_other_key_does():
    TENANTS.admit_admin("Bearer key-of-bob")
    with pytest.raises(NoAdmin, match="admin: true"):
        TENANTS.admit_admin("Bearer key-of-ann")
    with pytest.raises(Unauthorised):
        TENANTS.admit_admin("Bearer key-of-eve")
    with pytest.raises(Unauthorised):
        TENANTS.admit_admin(None)


def test_without_keys_everyone_is_an_administrator_only_where_only_this_machine_can_ask():
    Tenants.of_keys({}, open_to_all=True).admit_admin(None)
    with pytest.raises(NoAdmin):
        Tenants.of_keys({}, open_to_all=False).admit_admin("Bearer whatever")


def test_keys_are_not_kept():
    assert "key-of-ann" not in repr(TENANTS)
