"""Messages out of a byte stream (RFC 3261 18.3), the same ones however the stream is cut."""

from dataclasses import dataclass

from mediaproxy.errors import Malformed
from mediaproxy.limits import MAX_SIP_MESSAGE_BYTES
from mediaproxy.sip.grammar import parse_number, unfold
from mediaproxy.sip.headers import header_key
from mediaproxy.sip.parser import split_head

PONG = b"\r\n"  # RFC 5626 4.4.1
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Framed:
    """The bytes of one whole message, still to be parsed."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pinged:
    """A keep-alive that wants `PONG`."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Where the next message begins can't be known: answer `head` with `error`, then close."""

    error: Malformed
    head: bytes


Frame = Framed | Pinged | Broken


class StreamFramer:
    """Holds at most one message and what came with it. After `Broken` it gives nothing any more."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # no end of a head before this
        self._needed = 0  # length of the message that the buffer begins with, once known
        self._blanks = 0  # empty lines seen since the last message or ping
        self._broken = False

    @property
    def waiting(self) -> bool:
        """A message has begun and is not whole."""
        return bool(self._buffer)

    def receive(self, data: bytes) -> list[Frame]:
        frames: list[Frame] = []
        self._buffer += data
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        if self._broken:
            self._buffer.clear()
            return None
        if self._take_blanks():
            return Pinged()
        try:
            if not self._needed:
                self._measure()
        except Malformed as error:
            return self._break(error)
        if not self._needed or len(self._buffer) < self._needed:
            return None
        return self._cut()

    def _take_blanks(self) -> bool:
        """Empty lines between messages: two in a row are a ping, one is a pong."""
        while self._buffer.startswith(PONG):
            del self._buffer[: len(PONG)]
            self._blanks += 1
            if self._blanks == 2:
                self._blanks = 0
                return True
        return False

    def _measure(self) -> None:
        end = self._buffer.find(_HEAD_END, self._searched)
        if end < 0:
            self._searched = max(len(self._buffer) - len(_HEAD_END) + 1, 0)
            if len(self._buffer) > MAX_SIP_MESSAGE_BYTES:
                raise Malformed("head too large", status=413)
            return
        if end > MAX_SIP_MESSAGE_BYTES:
            raise Malformed("head too large", status=413)
        head = self._buffer[:end].decode("utf-8", "surrogateescape")
        needed = end + len(_HEAD_END) + _content_length(head)
        if needed > MAX_SIP_MESSAGE_BYTES:
            raise Malformed("message too large", status=413)
        self._needed = needed

    def _cut(self) -> Framed:
        message = bytes(self._buffer[: self._needed])
        del self._buffer[: self._needed]
        self._searched = self._needed = self._blanks = 0
        return Framed(message)

    def _break(self, error: Malformed) -> Broken:
        """Give the whole lines there are, so that the request can still be answered."""
        self._broken = True
        head, _, _ = bytes(self._buffer[:MAX_SIP_MESSAGE_BYTES]).partition(_HEAD_END)
        if len(head) == MAX_SIP_MESSAGE_BYTES:
            head, _, _ = head.rpartition(b"\r\n")
        return Broken(error, head)


def _content_length(head: str) -> int:
    """On a stream it must be there (18.3), and two that differ hide a message from somebody."""
    _, lines = split_head(head)
    values = set()
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and header_key(name.rstrip(" \t")) == "content-length":
            values.add(unfold(value))
    if len(values) != 1:
        raise Malformed("no single Content-Length on a stream")
    return parse_number(values.pop(), most=MAX_SIP_MESSAGE_BYTES)
