"""What is in memory is answered at once; whatever is not plain gets the same answer the ordinary way."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from services import CHAT, LIMIT, PARCEL, PLACES

from cacheguard.http import chat
from cacheguard.http.body import parse
from cacheguard.http.chat import Chat, Json
from cacheguard.http.head import Heads

SETTINGS = (
    PLACES
    + """
auth: {keys: [{key: key-of-ann, tenant: ann}, {key: key-of-bob, tenant: bob}]}
tiers: {strong: {provider: host, model: strong-model}}
"""
)
OWN = {"date", "x-request-id"}
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Line:
    """One connection, on which requests are sent as bytes. Answers: status, fields, body."""

    def __init__(self, url):
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname, where.port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def ask(self, *pieces, answers=1):
        """The answers to what is sent in these pieces, each on its own; one alone if there is one."""
        for piece in pieces[:-1]:
            self._socket.sendall(piece)
            self._pause()
        self._socket.sendall(pieces[-1])
        read = [self._read() for _ in range(answers)]
        return read[0] if answers == 1 else read

    def close(self):
        self._file.close()
        self._socket.close()

    @property
    def is_shut(self):
        return not self._file.read(1)

    def _pause(self):
        """Until the server has read what was sent: it answers another connection after it."""
        with closing(Line(f"http://{':'.join(map(str, self._socket.getpeername()))}")) as other:
            other._socket.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            other._read()

    def _read(self):
        first, *lines = iter(self._file.readline, b"\r\n")
        fields = dict(line.rstrip(b"\r\n").lower().split(b": ", 1) for line in lines)
        return int(first.split()[1]), fields, self._file.read(int(fields[b"content-length"]))


@pytest.fixture
def asker(service):
    service.behaves()
    return service.asker(key="key-of-ann")


@pytest.fixture
def line(service):
    with closing(Line(service.url)) as line:
        yield line


@pytest.fixture
def at_once(monkeypatch):
    """The answers that were given at once."""
    found = []
    ask = Chat.at_once

    def at_once(self, head, raw):
        answer = ask(self, head, raw)
        found.extend([answer] if isinstance(answer, Json) else [])
        return answer

    monkeypatch.setattr(Chat, "at_once", at_once)
    return found


@pytest.fixture
def again(asker, line, at_once):
    """A request that came before, and is answered at once from now on."""
    raw = request(asker)
    line.ask(raw)
    line.ask(raw)  # from the store
    assert not at_once
    return raw


def request(asker, *more, prompt=LIMIT, key="key-of-ann", version="1.1", path=CHAT):
    """more: fields of the head."""
    body = json.dumps(asker.body(prompt)).encode()
    head = [f"POST {path} HTTP/{version}", "Host: x", f"Authorization: Bearer {key}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *more, "", ""]).encode() + body


def same(fields):
    return {name: value for name, value in fields.items() if name.decode() not in OWN}


def test_the_answer_is_the_same_as_the_ordinary_ones(asker, line, again, at_once):
    ordinary = line.ask(request(asker, "X-Request-Id: mine"))
    assert not at_once
    first, second = line.ask(again), line.ask(again)
    assert len(at_once) == 2
    for given in (first, second):
        assert (given[0], same(given[1])) == (ordinary[0], same(ordinary[1]))
        assert {**json.loads(given[2]), "id": ""} == {**json.loads(ordinary[2]), "id": ""}


def test_other_words_for_the_same_question_are_answered_at_once(asker, line, again, at_once):
    asker.aside |= {"user": "somebody"}
    assert b"detail=exact" in line.ask(request(asker, prompt=f"  {LIMIT.upper()} "))[1][b"cache-status"]
    assert len(at_once) == 1


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"tools": [{"type": "function"}]}], ids=str)
@pytest.mark.usefixtures("again")
def test_a_request_that_has_to_wait_is_read_once(asker, line, at_once, monkeypatch, fields):
    read = []
    monkeypatch.setattr(chat, "parse", lambda shape, raw: read.append(raw) or parse(shape, raw))
    asker.aside |= fields
    raw = request(asker, prompt=PARCEL)
    if fields.get("stream"):
        line._socket.sendall(raw)
        assert line._file.readline().startswith(b"HTTP/1.1 200 ")
    else:
        status, said, _ = line.ask(raw)
        assert (status, b"; detail=tools" in said[b"cache-status"]) == (200, "tools" in fields)
    assert len(read) == 1
    assert not at_once


def test_what_breaks_on_the_way_is_left_to_the_ordinary_way(service, line, again, monkeypatch):
    def broken(*_):
        raise RuntimeError

    monkeypatch.setattr(service.service.corridor, "repeated", broken)
    monkeypatch.setattr(service.service.corridor, "at_hand", broken)
    assert line.ask(again)[0] == 500  # and not a connection that ends without a word


def test_every_answer_has_a_request_id_of_its_own(line, again):
    assert line.ask(again)[1][b"x-request-id"] != line.ask(again)[1][b"x-request-id"]


def test_another_connection_is_answered_at_once_too(service, again, at_once):
    with closing(Line(service.url)) as another:
        assert another.ask(again)[0] == 200
    assert at_once


@pytest.mark.parametrize("cut", [5, 30, -10, -1])
def test_a_request_that_comes_in_pieces_is_answered(line, again, at_once, cut):
    assert line.ask(again[:cut], again[cut:])[0] == 200
    assert not at_once
    assert line.ask(again)[0] == 200
    assert at_once


def test_requests_that_come_together_are_answered_in_their_order(asker, line, again, at_once):
    other = request(asker, prompt=PARCEL)
    answers = line.ask(again + other + again, answers=3)
    assert [b"hit" in fields[b"cache-status"] for _, fields, _ in answers] == [True, False, True]
    assert not at_once


def test_a_request_waits_for_the_one_before_it_on_its_connection(service, asker, line, again, at_once):
    with service.gate.shut():
        line._socket.sendall(request(asker, prompt=PARCEL))
        line._pause()
        line._socket.sendall(again)
        line._pause()
        assert not at_once
    first, second = line._read(), line._read()
    assert [b"hit" in fields[b"cache-status"] for _, fields, _ in (first, second)] == [False, True]


@pytest.mark.parametrize(
    "more",
    [
        {"more": "X-Request-Id: mine"},
        {"more": "Expect: 100-continue"},
        {"more": "Connection: close"},
        {"version": "1.0"},
        {"path": f"{CHAT}?a=b"},
    ],
    ids=lambda more: str(*more.values()),
)
def test_what_is_not_plain_goes_the_ordinary_way(service, asker, at_once, more):
    more = dict(more)
    field = more.pop("more", None)
    raw = request(asker, *([field] if field else []), **more)
    for _ in range(3):
        with closing(Line(service.url)) as line:
            if field == "Expect: 100-continue":
                line._socket.sendall(raw)
                assert line._file.readline().startswith(b"HTTP/1.1 100 ")
                assert line._file.readline() == b"\r\n"
                status, fields, _ = line._read()
            else:
                status, fields, _ = line.ask(raw)
            assert status == 200
            if field == "X-Request-Id: mine":
                assert fields[b"x-request-id"] == b"mine"
            if field == "Connection: close" or "version" in more:
                assert line.is_shut
    assert not at_once


def test_a_body_in_chunks_is_answered(asker, line, at_once):
    plain = request(asker)
    head, body = plain.split(b"\r\n\r\n")
    head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    raw = b"%b\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (head, len(body), body)
    assert [line.ask(raw)[0] for _ in range(3)] == [200] * 3
    assert not at_once


def test_the_same_bytes_under_another_key_are_another_tenants(line, again, at_once):
    assert b"fwd=miss" in line.ask(again.replace(b"key-of-ann", b"key-of-bob"))[1][b"cache-status"]
    assert line.ask(again.replace(b"key-of-ann", b"key-of-eve"))[0] == 401
    assert line.ask(again.replace(b"key-of-ann", b"key-of-eve"))[0] == 401
    assert not at_once


@pytest.mark.parametrize("path", ["/v1/feedback", "/readyz"])
def test_other_endpoints_are_not_taken_for_it(asker, line, again, at_once, path):
    other = again.replace(CHAT.encode(), path.encode())
    assert {line.ask(other)[0] for _ in range(3)} <= {400, 405}
    assert not at_once


def test_a_bad_directive_is_told_however_often_it_comes(asker, line):
    raw = request(asker, "Cache-Control: max-age=soon")
    assert [line.ask(raw)[0] for _ in range(3)] == [400] * 3


def test_noise_after_it_ends_the_connection_and_is_not_taken_for_a_request(service, line, again, at_once):
    body = again.partition(b"\r\n\r\n")[2]
    for _ in range(2):
        with closing(Line(service.url)) as other:
            assert other.ask(again)[0] == 200
            other._socket.sendall(b"\x00NONSENSE\r\n\r\n" + body)
            assert b"400 Bad Request" in other._file.readline()
    assert len(at_once) == 2


def test_heads_beyond_what_is_kept_are_learnt_anew():
    heads = Heads()
    for number in range(5000):
        heads.learn(head(number), 2, [])
    assert heads.find(head(4999), 2)
    assert not heads.find(head(0), 2)


def test_long_heads_are_not_kept():
    heads = Heads()
    heads.learn(head("x" * 3000), 2, [])
    assert not heads.find(head("x" * 3000), 2)


@pytest.mark.parametrize(
    ("length", "came", "is_known"), [(2, 2, True), (77, 77, True), (77, 2, False), ("2x", 2, False)]
)
def test_a_head_is_known_but_for_its_length(length, came, is_known):
    heads = Heads()
    heads.learn(head("a"), 2, [])
    assert bool(heads.find(head("a", length), came)) == is_known


def head(name, length=2):
    return f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nX-Name: {name}\r\n\r\n".encode()
