"""Where a Redis is, as its URL says: one server, a cluster, or a master that sentinels know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

Kind: TypeAlias = Literal["single", "cluster", "sentinel"]

SCHEMES: Final = ("redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")
_PORTS: Final = {"single": 6379, "cluster": 6379, "sentinel": 26379}
# Named as redis-py names them.
_TLS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class Host(NamedTuple):
    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """user, password: of an ACL, "" for none. service: the name that sentinels know the master by. tls: files by name.

    Its text has no password in it.
    """

    kind: Kind
    hosts: tuple[Host, ...]
    user: str = ""
    password: str = ""
    db: int = 0
    service: str = ""
    is_encrypted: bool = False
    tls: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        scheme = ("rediss" if self.is_encrypted else "redis") + {"single": ""}.get(self.kind, f"+{self.kind}")
        user = f"{self.user}@" if self.user else ""
        path = "/".join(part for part in (self.service, str(self.db or "")) if part)
        return f"{scheme}://{user}{','.join(map(str, self.hosts))}{'/' if path else ''}{path}"


def read_place(url: str) -> RedisPlace:
    """Raises ValueError, which names what is wrong with the URL, and never quotes its password."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"has no scheme of a Redis; known: {', '.join(f'{known}://' for known in SCHEMES)}")
    name, _, kind = scheme.partition("+")
    is_encrypted = name == "rediss"
    where, _, query = rest.partition("?")
    at, _, path = where.partition("/")
    login, _, listed = at.rpartition("@")
    user, _, password = login.partition(":")
    kind_: Kind = "cluster" if kind == "cluster" else "sentinel" if kind == "sentinel" else "single"
    hosts = tuple(_host(one, _PORTS[kind_]) for one in listed.split(","))
    if kind_ == "single" and len(hosts) > 1:
        raise ValueError("names several hosts: say redis+cluster:// or redis+sentinel://, or name one")
    service, db = _path(kind_, path)
    return RedisPlace(
        kind_, hosts, unquote(user), unquote(password), db, service, is_encrypted, _tls(query, is_encrypted)
    )


def _host(text: str, port: int) -> Host:
    try:
        parts = urlsplit(f"//{text}")
        number = parts.port
    except ValueError:
        parts, number = urlsplit("//"), None
    if not parts.hostname or "@" in text:
        raise ValueError(
            "must name its host, as in redis://HOST:6379/0; a password's @ / : ? # are written as %40 %2F …"
        )
    return Host(parts.hostname, number or port)


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """The sentinels' service and the database."""
    service = ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            raise ValueError("must name the master that the sentinels watch: redis+sentinel://HOST:26379/SERVICE")
    if path and not path.isdecimal():
        raise ValueError("must end with the number of a database, as in redis://HOST:6379/0, or with its port")
    if kind == "cluster" and int(path or 0):
        raise ValueError("names a database: a cluster has the one only, take the number out")
    return unquote(service), int(path or 0)


def _tls(query: str, is_encrypted: bool) -> tuple[tuple[str, str], ...]:
    named = tuple(parse_qsl(query, keep_blank_values=True))
    for name, _ in named:
        if name not in _TLS:
            raise ValueError(f"has the unknown option {name!r}; known: {', '.join(_TLS)}")
    if named and not is_encrypted:
        raise ValueError("has options of TLS, but is not encrypted: say rediss://")
    return named
