"""Server-sent events out of bytes.

Source: WHATWG, HTML, 9.2.5 Parsing an event stream, 9.2.6 Interpreting an event stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDS = (b"\n", b"\r")


class EventStream:
    """One stream, fed in pieces that may be cut anywhere. Of its events only the data: no wire format needs the rest.

    An event that the stream ends in is none, as the standard wants it.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._last_byte = b""
        self._data: list[str] = []
        # The first line may begin with a byte order mark.
        self._encoding = "utf-8-sig"

    def feed(self, piece: bytes) -> Iterator[str]:
        """The data of each event that ends in this piece."""
        for line in self._lines(piece):
            name, _, value = line.partition(":")
            if name == "data":
                self._data.append(value.removeprefix(" "))
            elif not line and self._data:
                yield "\n".join(self._data)
                self._data.clear()

    def _lines(self, piece: bytes) -> Iterator[str]:
        if self._last_byte == b"\r" and piece.startswith(b"\n"):  # the other half of a line's end
            self._last_byte, piece = b"\n", piece[1:]
        self._last_byte = piece[-1:] or self._last_byte
        for part in piece.splitlines(keepends=True):
            self._line += part
            if part.endswith(_ENDS):
                yield self._line.rstrip(b"\r\n").decode(self._encoding, "replace")
                self._line.clear()
                self._encoding = "utf-8"
