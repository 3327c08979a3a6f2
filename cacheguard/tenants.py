"""Who a client is, by its key."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cacheguard.errors import NoAdmin, Unauthorised

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Tenants:
    """by_digest: tenants by the SHA-256 of their keys, so that look-up times tell nothing about keys.

    admins: digests of the keys that open what is for administrators. open_to_all: without any key, everyone is one.
    Without any key everyone is the tenant `default`.
    """

    by_digest: Mapping[bytes, str]
    admins: frozenset[bytes] = frozenset()
    open_to_all: bool = True

    @classmethod
    def of_keys(cls, keys: Mapping[str, str], admins: Collection[str] = (), *, open_to_all: bool = True) -> Tenants:
        """keys: tenant by key. admins: those of the keys that are administrators'."""
        tenants = {_digest(key): tenant for key, tenant in keys.items()}
        return cls(tenants, frozenset(map(_digest, admins)), open_to_all)

    def of(self, authorization: str | None) -> str:
        """The tenant whose key the Authorization field carries. Raises Unauthorised."""
        return self.by_digest[self._known(authorization)] if self.by_digest else DEFAULT

    def admit_admin(self, authorization: str | None) -> None:
        """Let administrators through. Raises Unauthorised, or NoAdmin."""
        is_admin = self._known(authorization) in self.admins if self.by_digest else self.open_to_all
        if not is_admin:
            raise NoAdmin("this is for administrators: send a key whose entry in auth.keys says admin: true")

    def _known(self, authorization: str | None) -> bytes:
        """The digest of the key in the Authorization field. Raises Unauthorised."""
        scheme, _, key = (authorization or "").partition(" ")
        digest = _digest(key.strip())
        if scheme.lower() != "bearer" or digest not in self.by_digest:
            raise Unauthorised("this service asks for a key: send «Authorization: Bearer KEY» with one from auth.keys")
        return digest


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()
