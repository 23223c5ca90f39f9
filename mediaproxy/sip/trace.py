"""What was said of late: the SIP messages of recent calls, for whoever looks for a fault.

Kept is what may be shown to an operator: no credentials, none of an SDP's keys (RFC 4568, RFC 8839), and no
body but an SDP's, since others carry the digits that a caller dials.
"""

import re
from collections.abc import Callable, Iterator
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow

BYTES: Final = 16 << 20

_KEY_BYTES: Final = 16
_RECORD: Final = Struct(f"<{_KEY_BYTES}sq?II")  # key, at_ns, sent, bytes of the flow, bytes of the text

# Looked for in heads that are in lower case: a search for literal words is ten times faster.
_CALL_ID: Final = re.compile(rb"\r\n(?:call-id|i)[ \t]*:")
_HAS_PASSWORD: Final = re.compile(rb"sips?:[^\s:@<>;]{1,128}:[^\s@<>;]{1,128}@")

_PASSWORD: Final = re.compile(rb"(sips?:[^\s:@<>;]{1,128}):[^\s@<>;]{1,128}@", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(
    rb"(\r\n(?:Proxy-)?Authorization[ \t]*:)[^\r\n]*(?:\r\n[ \t][^\r\n]*)*", re.IGNORECASE
)
_IS_SDP: Final = re.compile(rb"\r\n(?:Content-Type|c)[ \t]*:[ \t]*application/sdp", re.IGNORECASE)
_KEYS: Final = re.compile(rb"(?m)^(a=crypto:|a=ice-pwd:|a=key-mgmt:|k=)[^\r\n]*")
_KEY_WORDS: Final = (b"a=crypto", b"a=ice-pwd", b"a=key-mgmt", b"k=")
_LEFT_OUT: Final = b"(left out)"


class Said(NamedTuple):
    """One message: by us when `sent`, at `at_ns` (monotonic), without what is not to be kept."""

    at_ns: int
    sent: bool
    flow: Flow
    text: bytes


class Trace:
    """The newest messages of all calls, one after the other in a block of memory that is all there from
    the beginning; the oldest is written over. A look-up searches it for the key of a Call-ID, one that no
    peer can write into a message: it hangs on what `random` gave.
    """

    def __init__(self, random: Callable[[int], bytes], size: int = BYTES) -> None:
        self._salt = random(_KEY_BYTES)
        self._memory = bytearray(b"\0") * size  # repeats by memset, so it is resident
        self._at = 0

    def note(self, data: bytes, flow: Flow, *, sent: bool, at_ns: int) -> Said | None:
        """Keep a whole message; None when it names no call."""
        call_id = _call_id(data)
        if call_id is None:
            return None
        said = Said(at_ns, sent, flow, presentable(data))
        way = _encoded(flow)
        record = _RECORD.pack(self._key(call_id), at_ns, sent, len(way), len(said.text))
        self._keep(record + way + said.text)
        return said

    def of(self, call_id: str) -> list[Said]:
        """What was said under this Call-ID, as far as it is still there, oldest first."""
        key = self._key(call_id.encode("utf-8", "surrogateescape"))
        return sorted(self._find(key), key=lambda said: said.at_ns)

    def _key(self, call_id: bytes) -> bytes:
        return blake2b(call_id, digest_size=_KEY_BYTES, key=self._salt).digest()

    def _keep(self, record: bytes) -> None:
        """Nothing is ever left of a record whose beginning was written over: it can't be found any more."""
        if len(record) > len(self._memory):
            return
        if self._at + len(record) > len(self._memory):
            self._memory[self._at :] = bytes(len(self._memory) - self._at)
            self._at = 0
        self._memory[self._at : self._at + len(record)] = record
        self._at += len(record)

    def _find(self, key: bytes) -> Iterator[Said]:
        at = self._memory.find(key)
        while at >= 0:
            _, at_ns, sent, way, text = _RECORD.unpack_from(self._memory, at)
            begin = at + _RECORD.size
            end = begin + way + text
            flow = _decoded(bytes(self._memory[begin : begin + way]))
            yield Said(at_ns, sent, flow, bytes(self._memory[begin + way : end]))
            at = self._memory.find(key, end)


def presentable(data: bytes) -> bytes:
    """A message as it may be kept and shown."""
    head, end, body = data.partition(b"\r\n\r\n")
    known = head.lower()
    if b"authorization" in known:
        head = _CREDENTIALS.sub(rb"\1 " + _LEFT_OUT, head)
    if _HAS_PASSWORD.search(known):
        head = _PASSWORD.sub(rb"\1@", head)
    if body and b"application/sdp" in known and _IS_SDP.search(head):
        if any(word in body for word in _KEY_WORDS):
            body = _KEYS.sub(rb"\1" + _LEFT_OUT, body)
    elif body:
        body = b"(%d bytes left out)" % len(body)
    return head + end + body


def _call_id(data: bytes) -> bytes | None:
    head = data.partition(b"\r\n\r\n")[0]
    known = head.lower()
    found = known.find(b"\r\ncall-id:")
    if found >= 0:
        begin = found + len(b"\r\ncall-id:")
    elif (spelt := _CALL_ID.search(known)) is not None:
        begin = spelt.end()
    else:
        return None
    return head[begin:].partition(b"\r\n")[0].strip()


def _encoded(flow: Flow) -> bytes:
    words = (flow.transport, flow.local.host, flow.local.port, flow.remote.host, flow.remote.port)
    return " ".join(map(str, words)).encode()


def _decoded(way: bytes) -> Flow:
    transport, host, port, remote_host, remote_port = way.decode().split(" ")
    return Flow(transport, Endpoint(host, int(port)), Endpoint(remote_host, int(remote_port)))
