"""Keys tell who a client is."""

from __future__ import annotations

import pytest

from cacheguard.errors import Unauthorised
from cacheguard.tenants import Tenants

TENANTS = Tenants.of_keys({"key-of-ann": "ann", "second-key-of-ann": "ann", "key-of-bob": "bob"})


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


def test_keys_are_not_kept():
    assert "key-of-ann" not in repr(TENANTS)
