"""Who a client is, by its key."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cacheguard.errors import Unauthorised

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Tenants:
    """by_digest: tenants by the SHA-256 of their keys, so that look-up times tell nothing about keys.

    Without any key everyone is the tenant `default`.
    """

    by_digest: Mapping[bytes, str]

    @classmethod
    def of_keys(cls, keys: Mapping[str, str]) -> Tenants:
        """keys: tenant by key."""
        return cls({_digest(key): tenant for key, tenant in keys.items()})

    def of(self, authorization: str | None) -> str:
        """The tenant whose key the Authorization field carries. Raises Unauthorised."""
        if not self.by_digest:
            return DEFAULT
        scheme, _, key = (authorization or "").partition(" ")
        tenant = self.by_digest.get(_digest(key.strip())) if scheme.lower() == "bearer" else None
        if tenant is None:
            raise Unauthorised("this service asks for a key: send «Authorization: Bearer KEY» with one from auth.keys")
        return tenant


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()
