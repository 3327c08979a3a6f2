"""How calls leave this machine: through which proxy, and whose certificates they trust."""

from __future__ import annotations

import os
import ssl
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi

from cacheguard.errors import ConfigError


@cache
def trusted() -> ssl.SSLContext:
    """Made once: reading the certificates takes 40 ms.

    $SSL_CERT_FILE's, else $SSL_CERT_DIR's, else certifi's, which are the same on every machine, where some have none of
    their own: as with httpx, which asks for vectors.
    """
    if file := os.environ.get("SSL_CERT_FILE"):
        return ssl.create_default_context(cafile=file)
    if folder := os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context(capath=folder)
    return ssl.create_default_context(cafile=certifi.where())


def proxy_to(url: str) -> str | None:
    """The proxy that the environment, or else the system, names for this address. Raises ConfigError for other kinds.

    Source: curl's manual, Environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, in either case.
    """
    parts = urlsplit(url)
    named = getproxies()
    proxy = named.get(parts.scheme) or named.get("all")
    if not proxy or proxy_bypass(parts.netloc) or proxy_bypass(parts.hostname or ""):
        return None
    kind, is_url, _ = proxy.partition("://")
    if not is_url:
        return f"http://{proxy}"
    if kind.lower() not in ("http", "https"):
        raise ConfigError(f"the environment names a proxy of kind '{kind}' for {url}; known: http, https")
    return proxy
