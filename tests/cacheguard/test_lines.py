from __future__ import annotations

import gzip

import pytest

from cacheguard import lines
from cacheguard.errors import FileUnusable
from cacheguard.lines import BadLine, Line, read_lines, read_object, text_in


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "log"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_come_with_their_numbers_and_without_blank_ones(write, pack):
    path = write(pack("\ufeffone\r\n\n  \nzwölf\nlast".encode()))
    assert list(read_lines(path)) == [Line(1, "one"), Line(4, "zwölf"), Line(5, "last")]


def test_a_line_that_is_not_utf8_leaves_the_others_alone(write):
    first, bad, last = read_lines(write(b"one\n\xff\xfe\nthree\n"))
    assert (first, last) == (Line(1, "one"), Line(3, "three"))
    assert str(bad) == "log, line 2: is not UTF-8 (byte 1)"


def test_a_line_without_an_end_is_never_held_in_memory(write, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST", 10)
    bad, last = read_lines(write(b"x" * 35 + b"\nlast\n"))
    assert isinstance(bad, BadLine)
    assert last == Line(2, "last")


def test_a_compressed_file_that_breaks_off_gives_what_came_before(write):
    content = gzip.compress("".join(f"line {number}\n" for number in range(100_000)).encode())
    *read, last = read_lines(write(content[: len(content) // 2]))
    assert read[0] == Line(1, "line 0")
    assert isinstance(last, BadLine)
    assert last.number == len(read) + 1


def test_progress_adds_up_to_the_size_of_the_file(write):
    path = write(gzip.compress(b"one\ntwo\n"))
    told = []
    list(read_lines(path, told.append))
    assert sum(told) == path.stat().st_size


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileUnusable, match="nowhere can't be read: No such file"):
        next(read_lines(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON: Expecting property name"),
        ("[1]", "no object"),
        ("[" * 100_000, "is not JSON"),
        ('{"n": ' + "1" * 5000 + "}", "is not JSON"),
    ],
)
def test_what_is_no_object_is_refused_with_its_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        read_object(text)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "lacks 'prompt'"),
        ({"prompt": 7}, "'prompt' is no text"),
        ({"prompt": " \n"}, "'prompt' is blank"),
        ({"prompt": "a\ud800b"}, "'prompt' holds a lone surrogate"),
    ],
)
def test_a_field_without_words_is_refused_with_its_reason(fields, reason):
    with pytest.raises(ValueError, match=reason):
        text_in(fields, "prompt")
