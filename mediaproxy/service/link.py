"""Messages between the proxy and its media workers: values, pickled, in length-framed pieces.

Pickle is good enough here and only here: both ends are processes of ours, the one started by the other, over
a socket pair that the child inherited and nobody else can open. Neither end takes what is too long, and
neither lets more than so much wait for the other.
"""

import asyncio
import pickle
import struct
from collections.abc import Callable
from typing import Any, Final, cast

import structlog

from mediaproxy.errors import Malformed, Misuse

MAX_BYTES: Final = 32 << 20  # a minute of sound at every rate is a third of that
MAX_WAITING_BYTES: Final = 64 << 20

_HEAD: Final = struct.Struct("!I")

log = structlog.get_logger()


def frame(message: object) -> bytes:
    """A message as it goes over the wire."""
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    if len(content) > MAX_BYTES:
        raise Misuse("a message is too long")
    return _HEAD.pack(len(content)) + content


def unframed(content: bytes) -> Any:
    return pickle.loads(content)  # noqa: S301 - see above


class Frames:
    """What came, in pieces of any size, to whole messages."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def receive(self, chunk: bytes) -> list[bytes]:
        """The contents of all frames that are whole now. Raises `Malformed` when one is too long."""
        self._unread += chunk
        found, at = [], 0
        while len(self._unread) - at >= _HEAD.size:
            (size,) = _HEAD.unpack_from(self._unread, at)
            if size > MAX_BYTES:
                raise Malformed("a message is too long")
            end = at + _HEAD.size + size
            if end > len(self._unread):
                break
            found.append(bytes(memoryview(self._unread)[at + _HEAD.size : end]))
            at = end
        del self._unread[:at]
        return found


class Link(asyncio.Protocol):
    """One end. `on_message` gets each message in its order, `on_lost` is called once when the other end is
    gone. What is sent after that is dropped."""

    def __init__(self, on_message: Callable[[Any], None], on_lost: Callable[[], None]) -> None:
        self.received = 0  # messages
        self._on_message = on_message
        self._on_lost = on_lost
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    def send(self, message: object) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            self._transport.abort()
            return
        self._transport.write(frame(message))

    def close(self) -> None:
        """Idempotent; what was sent is sent."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            contents = self._frames.receive(data)
        except Malformed:
            log.error("link_broken")
            self._abort()
            return
        for content in contents:
            self.received += 1
            self._receive(content)

    def _receive(self, content: bytes) -> None:
        try:
            self._on_message(unframed(content))
        except Exception:  # a task root: the other calls' messages are heard all the same
            log.exception("message_failed")

    def connection_lost(self, error: Exception | None) -> None:
        self._on_lost()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
