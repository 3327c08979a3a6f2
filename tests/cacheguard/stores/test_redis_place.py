"""A place is what its URL says, and never shows its password."""

from __future__ import annotations

import pytest

from cacheguard.stores.redis_place import Host, RedisPlace, read_place

LOCAL = (Host("127.0.0.1", 6379),)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://127.0.0.1", RedisPlace("single", LOCAL)),
        ("redis://127.0.0.1:6379/2", RedisPlace("single", LOCAL, db=2)),
        ("redis://:p%40w@127.0.0.1", RedisPlace("single", LOCAL, "", "p@w")),
        ("rediss://u:pw@[::1]:7000", RedisPlace("single", (Host("::1", 7000),), "u", "pw", is_encrypted=True)),
        ("redis+cluster://a:1,b", RedisPlace("cluster", (Host("a", 1), Host("b", 6379)))),
        (
            "redis+sentinel://a,b:2/main/3",
            RedisPlace("sentinel", (Host("a", 26379), Host("b", 2)), db=3, service="main"),
        ),
        (
            "rediss://127.0.0.1?ssl_ca_certs=/etc/ca.pem",
            RedisPlace("single", LOCAL, is_encrypted=True, tls=(("ssl_ca_certs", "/etc/ca.pem"),)),
        ),
    ],
)
def test_a_url_names_a_place(url, place):
    assert read_place(url) == place


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("valkey://h", "no scheme of a Redis"),
        ("redis://", "must name its host"),
        ("redis://u:p@w@h:port", "must name its host"),
        ("redis://h/zero", "number of a database"),
        ("redis://a,b", "several hosts"),
        ("redis+cluster://h/1", "a cluster has the one only"),
        ("redis+sentinel://h", "name the master"),
        ("redis://h?ssl_ca_certs=f", "say rediss://"),
        ("rediss://h?timeout=3", "unknown option 'timeout'"),
    ],
)
def test_what_is_wrong_with_a_url_is_named(url, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_place(url)


@pytest.mark.parametrize("url", ["redis://u@h:1/2", "redis+cluster://a:1,b:2", "rediss+sentinel://u@a:1/main/3"])
def test_its_text_is_the_url_without_the_password(url):
    assert str(read_place(url)) == url
    assert str(read_place(url.replace("u@", "u:secret@"))) == url
