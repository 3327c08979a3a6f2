"""The ways out of this machine that the environment names are taken, and its certificates trusted."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from cacheguard.errors import ConfigError
from cacheguard.providers.outbound import proxy_to, trusted


@pytest.fixture
def environment(monkeypatch):
    """Sets these variables and no others of their kind."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    trusted.cache_clear()
    yield lambda **named: [monkeypatch.setenv(name, value) for name, value in named.items()]
    trusted.cache_clear()


PROXY = "http://user:secret@proxy:3128"


@pytest.mark.parametrize(
    ("named", "url", "proxy"),
    [
        ({}, "https://api.example/v1", None),
        ({"HTTPS_PROXY": PROXY}, "https://api.example/v1", PROXY),
        ({"https_proxy": PROXY}, "https://api.example/v1", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://api.example/v1", None),
        ({"HTTP_PROXY": PROXY}, "http://api.example/v1", PROXY),
        ({"ALL_PROXY": PROXY}, "https://api.example/v1", PROXY),
        ({"ALL_PROXY": "http://other", "HTTPS_PROXY": PROXY}, "https://api.example/v1", PROXY),
        ({"HTTPS_PROXY": "proxy:3128"}, "https://api.example/v1", "http://proxy:3128"),
        ({"HTTPS_PROXY": "https://proxy"}, "https://api.example/v1", "https://proxy"),
        ({"HTTPS_PROXY": ""}, "https://api.example/v1", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, "https://api.example/v1", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "a, api.example"}, "https://api.example/v1", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": ".example"}, "https://api.example/v1", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "example"}, "https://api.example:8443/v1", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "pi.example"}, "https://api.example/v1", PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "api.example:8443"}, "https://api.example:8443/v1", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "api.example:8443"}, "https://api.example/v1", PROXY),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "localhost,127.0.0.1,::1"}, "http://127.0.0.1:11434/v1", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "localhost,127.0.0.1,::1"}, "http://[::1]:11434/v1", None),
    ],
)
def test_the_proxy_is_the_one_that_the_environment_names(environment, named, url, proxy):
    environment(**named)
    assert proxy_to(url) == proxy


def test_a_kind_of_proxy_that_cannot_be_used_is_refused_without_its_password(environment):
    environment(ALL_PROXY="socks5://user:secret@proxy:1080")
    with pytest.raises(ConfigError, match=r"proxy of kind 'socks5' for https://api.example/v1") as refused:
        proxy_to("https://api.example/v1")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_environments_certificates_are_trusted_in_the_place_of_the_usual_ones(environment, tmp_path, variable):
    assert len(trusted().get_ca_certs()) > 50
    first = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    (tmp_path / "own.pem").write_text(first[0] + first[1], encoding="utf-8")
    trusted.cache_clear()
    environment(**{variable: str(tmp_path / "own.pem" if variable == "SSL_CERT_FILE" else tmp_path)})
    # Those of a folder are looked up when they are needed.
    assert len(trusted().get_ca_certs()) == (variable == "SSL_CERT_FILE")


def test_certificates_are_read_once(environment):
    assert trusted() is trusted()
