"""The two parties' signalling: a carrier that calls and an agent that answers, many calls at once.

Only what the benchmark needs of RFC 3261: UDP, one INVITE a call, resent until answered, and a BYE.
The two halves of a call find each other by a header that the proxy passes on unchanged.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from tests.bench.proxy import Call, audio_sdp, audio_target

_MARK = "X-Bench-Call"
_RESEND_S = 0.5
_GIVE_UP_S = 10.0
_Address = tuple[str, int]


@dataclass(slots=True)
class Dialog:
    """What is known of one call: where each party is to send its audio, and the caller's dialog."""

    call: Call
    name: str  # of this dialog alone, also when a call's number comes again
    call_id: str
    to: str = ""
    target: str = ""
    caller_sends_to: _Address | None = None
    callee_sends_to: _Address | None = None
    answered_ns: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 0
    ended: bool = False


class Softphones:
    """`carrier` and `agent` are their SIP addresses, `proxy` is ours; all calls go to `number`."""

    def __init__(self, carrier: _Address, agent: _Address, proxy: _Address, number: str) -> None:
        self._carrier, self._agent, self._proxy, self._number = carrier, agent, proxy, number
        self._dialogs: dict[int, Dialog] = {}
        self._serial = count()
        self._sockets: dict[_Address, asyncio.DatagramTransport] = {}

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for address, receive in ((self._carrier, self._at_carrier), (self._agent, self._at_agent)):
            transport, _ = await loop.create_datagram_endpoint(partial(_Inbox, receive), local_addr=address)
            self._sockets[address] = transport

    def close(self) -> None:
        for transport in self._sockets.values():
            transport.close()

    async def place(self, call: Call) -> Dialog:
        """Call, wait for the answer and acknowledge it."""
        name = f"{call.name}-{next(self._serial)}"
        dialog = self._dialogs[call.number] = Dialog(call, name, f"{name}@{self._carrier[0]}")
        sdp = audio_sdp(*call.parties[0])
        request = self._request(dialog, "INVITE", 1, f"sip:{self._number}@pbx.example", sdp)
        await self._resend(dialog, request, lambda: dialog.status >= 200)
        if dialog.status != 200 or dialog.callee_sends_to is None:
            raise RuntimeError(f"{call.name} was answered with {dialog.status}")
        return dialog

    async def hang_up(self, call: Call) -> None:
        dialog = self._dialogs[call.number]
        request = self._request(dialog, "BYE", 2, dialog.target, "")
        await self._resend(dialog, request, lambda: dialog.ended)

    async def _resend(self, dialog: Dialog, request: bytes, done: Callable[[], bool]) -> None:
        for _ in range(round(_GIVE_UP_S / _RESEND_S)):
            self._send(self._carrier, request)
            try:
                async with asyncio.timeout(_RESEND_S):
                    while not done():
                        await dialog.changed.wait()
                        dialog.changed.clear()
            except TimeoutError:
                continue
            return
        raise RuntimeError(f"no answer for {dialog.call.name}")

    def _request(self, dialog: Dialog, method: str, cseq: int, uri: str, sdp: str) -> bytes:
        host, port = self._carrier
        name = dialog.name
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{name}-{method}-{cseq};rport",
            "Max-Forwards: 70",
            f"From: <sip:carrier@{host}>;tag=a{name}",
            f"To: {dialog.to or f'<sip:{self._number}@pbx.example>'}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:carrier@{host}:{port}>",
            f"{_MARK}: {dialog.call.number}",
        ]
        return _message(lines, sdp)

    def _send(self, source: _Address, message: bytes) -> None:
        self._sockets[source].sendto(message, self._proxy)

    def _at_carrier(self, text: str) -> None:
        if not text.startswith("SIP/2.0 "):
            return
        dialog = self._dialogs.get(_call_number(_header(text, "Call-ID")))
        if dialog is None:
            return
        status, method = int(text[8:11]), _header(text, "CSeq").partition(" ")[2]
        if method == "INVITE" and status >= 200:
            self._answered(dialog, status, text)
        elif method == "BYE" and status >= 200:
            dialog.ended = True
        dialog.changed.set()

    def _answered(self, dialog: Dialog, status: int, text: str) -> None:
        dialog.to = _header(text, "To")
        if status == 200:
            dialog.target = _uri(_header(text, "Contact"))
            dialog.caller_sends_to = audio_target(text)
        self._send(
            self._carrier, self._request(dialog, "ACK", 1, dialog.target or "sip:nobody@pbx.example", "")
        )
        dialog.status = status

    def _at_agent(self, text: str) -> None:
        method = text.partition(" ")[0]
        if method == "BYE":
            self._send(self._agent, _message(_reply(text), ""))
        if method != "INVITE":
            return
        dialog = self._dialogs[int(_header(text, _MARK))]
        dialog.callee_sends_to = audio_target(text)
        host, port = self._agent
        answer = [*_reply(text, tag=f"b{dialog.name}"), f"Contact: <sip:alice@{host}:{port}>"]
        dialog.answered_ns = dialog.answered_ns or time.monotonic_ns()
        self._send(self._agent, _message(answer, audio_sdp(*dialog.call.parties[1])))


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[str], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._receive(data.decode(errors="replace"))


def _message(lines: list[str], sdp: str) -> bytes:
    kind = ["Content-Type: application/sdp"] if sdp else []
    head = [*lines, *kind, f"Content-Length: {len(sdp)}", "", ""]
    return ("\r\n".join(head) + sdp).encode()


def _reply(request: str, tag: str = "") -> list[str]:
    vias = re.findall(r"^Via: .*$", request.replace("\r", ""), re.MULTILINE)
    to = _header(request, "To") + (f";tag={tag}" if tag else "")
    copied = [f"{name}: {_header(request, name)}" for name in ("From", "Call-ID", "CSeq")]
    return ["SIP/2.0 200 OK", *vias, *copied, f"To: {to}"]


def _header(text: str, name: str) -> str:
    found = re.search(rf"^{name}:[ \t]*(.*?)\r?$", text, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def _uri(contact: str) -> str:
    return contact.partition("<")[2].partition(">")[0] or contact


def _call_number(call_id: str) -> int:
    found = re.match(r"bench-(\d+)-\d+@", call_id)
    return int(found[1]) if found else -1
