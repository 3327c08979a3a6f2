"""Server-sent events, as the standard reads them, wherever the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cacheguard.providers.event_stream import EventStream


def events(*pieces):
    stream = EventStream()
    return [data for piece in pieces for data in stream.feed(piece)]


def by_the_standard(content):
    """The same, read whole and by another way."""
    text = content.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    *ended, _ = text.split("\n")
    found, data = [], []
    for line in ended:
        if not line and data:
            found.append("\n".join(data))
            data = []
        if line == "data" or line.startswith("data:"):
            value = line[5:]
            data.append(value.removeprefix(" "))
    return found


@pytest.mark.parametrize(
    ("content", "data"),
    [
        (b"data: one\n\ndata: two\n\n", ["one", "two"]),
        (b"data:one\n\ndata:  two\n\n", ["one", " two"]),
        (b"data: one\ndata: two\n\n", ["one\ntwo"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", ["one", "two"]),
        (b"data: one\r\rdata: two\r\r", ["one", "two"]),
        (b"data: one\r\n\rdata: two\n\n", ["one", "two"]),
        (b"\n\n\ndata: one\n\n\n\n", ["one"]),
        (b": ping\n\ndata: one\n: ping\ndata: two\n\n", ["one\ntwo"]),
        (b"event: ping\n\nevent: delta\nid: 7\nretry: 9\ndata: one\n\n", ["one"]),
        (b"data: a: b\n\n", ["a: b"]),
        (b"data\n\ndata:\n\n", ["", ""]),
        (b"data\ndata\n\n", ["\n"]),
        (b"Data: one\ndatum: one\n data: one\n\n", []),
        (b"data: one\n\ndata: unfinished", ["one"]),
        (b"data: one\n\ndata: without an end\n", ["one"]),
        (b"\xef\xbb\xbfdata: one\n\n\xef\xbb\xbfdata: two\n\n", ["one"]),
        ("data: Straße\u2028\x85\x0b\x0c\x1c\n\n".encode(), ["Straße\u2028\x85\x0b\x0c\x1c"]),
        (b"data: \xff\xe2\x82\ndata: \n\n", ["\ufffd\ufffd\n"]),
        (b"", []),
    ],
    ids=repr,
)
def test_a_stream_is_read_by_the_standard(content, data):
    assert events(content) == by_the_standard(content) == data
    assert events(*(bytes([byte]) for byte in content)) == data


def test_an_event_is_given_as_soon_as_its_last_line_ends():
    stream = EventStream()
    assert list(stream.feed(b"data: one\r\n\r")) == ["one"]
    assert list(stream.feed(b"\ndata: two\n")) == []
    assert list(stream.feed(b"\n")) == ["two"]


PARTS = [b"data", b":", b" ", b"\n", b"\r", b"\r\n", b"x", "ß€".encode(), b"\xef\xbb\xbf", b"\xff"]


@given(
    st.lists(st.sampled_from(PARTS))
    .map(b"".join)
    .flatmap(lambda content: st.tuples(st.just(content), st.lists(st.integers(0, len(content)))))
)
@example((b"data: one\r\n\r\n", [10, 10, 12]))
def test_cuts_anywhere_change_nothing(cut):
    content, places = cut
    bounds = [0, *sorted(places), len(content)]
    pieces = [content[start:end] for start, end in pairwise(bounds)]
    assert events(*pieces) == by_the_standard(content)
