"""What was said of late: the SIP messages of recent calls, for whoever looks for a fault.

Kept is what may be shown to an operator: no credentials, none of an SDP's keys (RFC 4568, RFC 8839), and no
body but an SDP's, since others carry the digits that a caller dials.
"""

import re
from collections import OrderedDict, deque
from typing import Final, NamedTuple

from mediaproxy.sip.flow import Flow

MOST_BYTES: Final = 16 << 20
MOST_OF_A_DIALOG: Final = 200  # messages: who talks on and on pushes out only himself
OVERHEAD_BYTES: Final = 400  # of Python's own for a message, about

_CALL_ID: Final = re.compile(rb"\r\n(?:Call-ID|i)[ \t]*:([^\r\n]*)", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(
    rb"(\r\n(?:Proxy-)?Authorization[ \t]*:)[^\r\n]*(?:\r\n[ \t][^\r\n]*)*", re.IGNORECASE
)
_PASSWORD: Final = re.compile(rb"(sips?:[^\s:@<>;]{1,128}):[^\s@<>;]{1,128}@", re.IGNORECASE)
_IS_SDP: Final = re.compile(rb"\r\n(?:Content-Type|c)[ \t]*:[ \t]*application/sdp", re.IGNORECASE)
_KEYS: Final = re.compile(rb"(?m)^(a=crypto:|a=ice-pwd:|a=key-mgmt:|k=)[^\r\n]*")
_LEFT_OUT: Final = b"(left out)"


class Said(NamedTuple):
    """One message: by us when `sent`, at `at_ns` (monotonic), without what is not to be kept."""

    at_ns: int
    sent: bool
    flow: Flow
    text: bytes


class Trace:
    """The newest messages, at most `most_bytes` of them all; who was silent for longest goes first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._dialogs: OrderedDict[str, deque[Said]] = OrderedDict()  # by Call-ID
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return self._bytes

    def note(self, data: bytes, flow: Flow, *, sent: bool, at_ns: int) -> Said | None:
        """Keep a whole message; None when it names no call."""
        found = _CALL_ID.search(data)
        if found is None:
            return None
        said = Said(at_ns, sent, flow, presentable(data))
        call_id = found[1].strip().decode("utf-8", "surrogateescape")
        dialog = self._dialogs.setdefault(call_id, deque())
        self._dialogs.move_to_end(call_id)
        dialog.append(said)
        self._bytes += _cost(said)
        if len(dialog) > MOST_OF_A_DIALOG:
            self._bytes -= _cost(dialog.popleft())
        while self._bytes > self._most_bytes:
            _, oldest = self._dialogs.popitem(last=False)
            self._bytes -= sum(map(_cost, oldest))
        return said

    def of(self, call_id: str) -> list[Said]:
        """What was said under this Call-ID, as far as it is still there, oldest first."""
        return list(self._dialogs.get(call_id, ()))


def presentable(data: bytes) -> bytes:
    """A message as it may be kept and shown."""
    head, end, body = data.partition(b"\r\n\r\n")
    head = _PASSWORD.sub(rb"\1@", _CREDENTIALS.sub(rb"\1 " + _LEFT_OUT, head))
    if _IS_SDP.search(head):
        body = _KEYS.sub(rb"\1" + _LEFT_OUT, body)
    elif body:
        body = b"(%d bytes left out)" % len(body)
    return head + end + body


def _cost(said: Said) -> int:
    return len(said.text) + OVERHEAD_BYTES
