"""Settings of the service itself: where it listens, who may ask, what it keeps and where."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_serializer, field_validator, model_validator

from cacheguard.settings.spending import Spending
from cacheguard.settings.values import (
    ClientKey,
    Count,
    HttpUrl,
    Name,
    NotNegative,
    Port,
    Positive,
    Secret,
    Section,
    Text,
    refuse,
)
from cacheguard.stores.redis_place import SCHEMES, RedisPlace, read_place

DEFAULT_TENANT = "default"


class Server(Section):
    host: Text = "127.0.0.1"
    """Address that the service listens on."""
    port: Port = 8000
    """Port that it listens on; 0 takes a free one."""
    max_body_mb: Positive = 1
    """Largest request body that is read, in megabytes."""
    max_in_flight: Count = 512
    """Requests worked on at once; further ones are told to come back."""
    workers: Count = 1
    """Processes; each loads the model and holds its own index."""
    shutdown_grace_s: NotNegative = 30
    """Seconds that begun requests may take to finish at shutdown."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class ApiKey(Section):
    key: ClientKey
    """What clients send as their bearer token."""
    tenant: Name = DEFAULT_TENANT
    """Whose requests these are. Tenants never share an answer."""
    admin: bool = False
    """Whether the key opens /admin/api and the console too."""


class Tenant(Section):
    spending: Spending = Spending()
    """What all requests of the tenant may cost together."""


class Auth(Section):
    mode: Literal["keys", "none"] = "keys"
    """keys: clients need one of `keys`, once there are any. none: whoever reaches the port may ask."""
    keys: tuple[ApiKey, ...] = ()
    """The clients' keys."""
    tenants: dict[Name, Tenant] = Field(default_factory=dict)
    """Rules for tenants, by the names that `keys` give them; without any keys, everyone is `default`."""

    @model_validator(mode="after")
    def _keys_mean_something(self) -> Self:
        if self.keys and self.mode == "none":
            refuse(("mode",), "is 'none', but there are keys: take them out or say mode: keys")
        seen: dict[str, int] = {}
        for place, entry in enumerate(self.keys):
            first = seen.setdefault(entry.key.get_secret_value(), place)
            if first != place:
                refuse(("keys", place, "key"), f"is the same key as auth.keys[{first}].key")
        return self

    @model_validator(mode="after")
    def _tenants_have_keys(self) -> Self:
        known = dict.fromkeys(entry.tenant for entry in self.keys) or [DEFAULT_TENANT]
        for name in self.tenants:
            if name not in known:
                refuse(("tenants", name), f"is the tenant of no key; known: {', '.join(known)}")
        return self


class Store(Section):
    url: str = Field(default="sqlite:///./.cacheguard/cache.db", repr=False)
    """Where answers are kept: sqlite:///PATH (relative to the working directory; an absolute path makes four
    slashes), redis://[USER:PASSWORD@]HOST[:PORT][/DB] for replicas on any machines, memory:// (lost at the end).
    redis+cluster://HOST,HOST names nodes of a cluster, redis+sentinel://HOST,HOST/SERVICE sentinels of a master;
    rediss://, rediss+cluster:// and rediss+sentinel:// are encrypted, with ?ssl_ca_certs=FILE, ssl_certfile and
    ssl_keyfile where the system's certificates won't do."""

    @field_validator("url")
    @classmethod
    def _is_known(cls, url: str) -> str:
        scheme, separator, _ = url.partition("://")
        if separator and scheme in SCHEMES:
            read_place(url)
        elif not re.fullmatch(r"memory://|sqlite:///[^:].*", url):
            named = f"has the scheme {scheme!r}" if separator else "names no store"
            raise ValueError(f"{named}; known: sqlite:///PATH, redis://HOST:PORT/DB, memory://")
        return url

    @field_serializer("url", when_used="json")
    def _masked(self, _: str) -> str:
        return self.shown

    @property
    def sqlite_path(self) -> Path | None:
        """The database's file; None for another store."""
        scheme, _, path = self.url.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    @property
    def redis(self) -> RedisPlace | None:
        """Where the Redis is; None for another store."""
        return read_place(self.url) if self.url.startswith("redis") else None

    @property
    def is_lasting(self) -> bool:
        """Whether it outlives the process, and others may share it."""
        return self.url != "memory://"

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return self.url if self.redis is None else str(self.redis)


class Index(Section):
    backend: Literal["faiss", "redis"] = "faiss"
    """What finds neighbours: faiss (in each process), or redis (vector sets of a Redis 8 or newer, which all processes
    share), for collections that outgrow a process. The settings below it are for the one or the other."""
    url: str = Field(default="", repr=False)
    """Redis with the vector sets, written as store.url; empty: the Redis that is the store."""
    numbers: Literal["int8", "float32"] = "int8"
    """How vector sets keep numbers: int8 takes half of the memory and moves a similarity by up to 0.002."""
    shards: Count = 1
    """Vector sets that each scope is spread over, so that the nodes of a cluster share it."""
    max_mb: Positive = 2048
    """Memory for the loaded scopes, in megabytes; past it, those unused longest leave."""
    folder: Path = Path(".cacheguard/index")
    """Where snapshots lie. What is missing there is built again from the store."""
    snapshot_every_s: Positive = 300
    """Seconds between two snapshots of a scope that changes; of vector sets, between two marks of what they hold."""

    @field_validator("url")
    @classmethod
    def _is_a_redis(cls, url: str) -> str:
        if url:
            read_place(url)
        return url

    @model_validator(mode="after")
    def _fits_its_backend(self) -> Self:
        others = ("max_mb", "folder") if self.backend == "redis" else ("url", "numbers", "shards")
        for key in others:
            if getattr(self, key) != type(self).model_fields[key].default:
                refuse((key,), f"is not for backend {self.backend!r}: take it out, or name the other backend")
        return self

    @field_serializer("url", when_used="json")
    def _masked(self, url: str) -> str:
        return str(read_place(url)) if url else ""


class Embedding(Section):
    model: Text = "bundled"
    """bundled (all-MiniLM-L6-v2), a sentence-transformers name or folder, or openai:NAME for an endpoint that
    speaks OpenAI's format."""
    precision: Literal["int8", "fp32"] = "int8"
    """Number format of a local model's weights."""
    base_url: HttpUrl = "https://api.openai.com/v1"
    """Endpoint of an openai:NAME model."""
    api_key: Secret = SecretStr("")
    """Key for the endpoint of an openai:NAME model."""

    @property
    def is_remote(self) -> bool:
        return self.model.startswith("openai:")

    @model_validator(mode="after")
    def _fits_its_model(self) -> Self:
        if self.model == "openai:":
            refuse(("model",), "lacks the model's name behind openai:")
        for key in ("base_url", "api_key"):
            if not self.is_remote and getattr(self, key) != type(self).model_fields[key].default:
                refuse((key,), "is for openai:NAME models only: name one, or take it out")
        return self
