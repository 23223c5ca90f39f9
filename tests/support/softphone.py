"""A scripted telephone: SIP by hand, one step at a time, so that a test decides what happens when.

    carrier = await Phone("carrier", ("127.0.0.2", 15070), proxy).open()
    call = await carrier.invite("+15550100")
    incoming = await alice.ring()
    await incoming.answer()
    await call.expect(200)
    call.ack()

Nothing is answered by itself but retransmissions (with what was said before). `expect` fails on any
message that the test did not foresee; provisional responses are skipped unless asked for.
"""

import asyncio
import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.support.rtp_oracle import G711, PCMU
from tests.support.rtp_phone import DIGIT_TYPE, Plan, RtpPhone, on_time
from tests.support.sip_wire import (
    Address,
    Message,
    TcpWire,
    Tls,
    UdpWire,
    host_port,
    media_of,
    tag_of,
    uri_of,
)

WAIT_S = 4.0
NOISE_S = 30.0
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"
Headers = Iterable[tuple[str, str]]
Wanted = int | str

REASONS = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 404: "Not Found",
    480: "Temporarily Unavailable", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 491: "Request Pending", 503: "Service Unavailable", 603: "Decline",
}  # fmt: skip

_serial = itertools.count(1)


def sdp_for(
    media: Address, *, law: G711 = PCMU, direction: str = "sendrecv", profile: str = "RTP/AVP",
    extra: Iterable[str] = (), version: int = 1,
) -> bytes:  # fmt: skip
    host, port = media
    family = "IP6" if ":" in host else "IP4"
    lines = [
        "v=0",
        f"o=- 4711 {version} IN {family} {host}",
        "s=-",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=audio {port} {profile} {law.payload_type} {DIGIT_TYPE}",
        f"a=rtpmap:{law.payload_type} {law.name}/8000",
        f"a=rtpmap:{DIGIT_TYPE} telephone-event/8000",
        f"a=fmtp:{DIGIT_TYPE} 0-16",
        "a=ptime:20",
        f"a={direction}",
        *extra,
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


@dataclass(eq=False)
class Call:
    """One dialog of one telephone, from either end."""

    phone: "Phone"
    call_id: str
    local: str  # our From or To, with our tag
    remote: str  # theirs; without a tag until a response brings one
    target: str  # the Request-URI of what we send within the dialog
    routes: list[str] = field(default_factory=list)
    cseq: int = 0
    invite: Message | None = None  # the last INVITE received
    sent_invite: Message | None = None
    inbox: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)
    retransmissions: int = 0
    answer_sdp: str = ""  # of the 2xx that we acknowledged
    answered_ns: int = 0  # when we sent the 200 that makes position 0
    ended_ns: int = 0  # when we sent the BYE
    _answers: dict[tuple[str, str, str, str], bytes] = field(default_factory=dict)
    _acks: dict[str, bytes] = field(default_factory=dict)

    @property
    def media(self) -> RtpPhone:
        return self.phone.media

    async def expect(self, *wanted: Wanted, timeout: float = WAIT_S) -> Message:
        """The next message, which must be one of these statuses or methods."""
        while True:
            try:
                message = await asyncio.wait_for(self.inbox.get(), timeout)
            except TimeoutError:
                raise AssertionError(f"{self.phone.user} waited in vain for {wanted}") from None
            status = message.status
            if (status or message.method) in wanted:
                return message
            if status is None or status >= 200:
                raise AssertionError(f"{self.phone.user} wanted {wanted}, got {message.start!r}")

    async def nothing_comes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        assert self.inbox.empty(), f"unforeseen: {self.inbox.get_nowait().start}"

    def request(
        self, method: str, body: bytes = b"", headers: Headers = (), *, cseq: int | None = None, via: str = ""
    ) -> Message:
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        lines = [
            ("Via", via or self.phone.new_via()),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in self.routes),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", self.phone.contact),
            *headers,
        ]
        if body and not any(name == "Content-Type" for name, _ in lines):
            lines.append(("Content-Type", "application/sdp"))
        return Message(f"{method} {self.target} SIP/2.0", lines, body)

    def send(self, message: Message) -> Message:
        if message.method == "INVITE" and message.status is None:
            self.sent_invite = message
        if message.method == "BYE" and message.status is None:
            self.ended_ns = time.monotonic_ns()
        self.phone.wire.send(message.encode())
        return message

    def reinvite(self, *, direction: str = "sendrecv", sdp: bytes | None = None) -> Message:
        body = sdp if sdp is not None else sdp_for(self.media.local, direction=direction, version=2)
        return self.send(self.request("INVITE", body))

    def reply(
        self, request: Message, status: int, body: bytes = b"", headers: Headers = (), reason: str = ""
    ) -> Message:
        lines = [(n, v) for n, v in request.headers if n.lower() in ("via", "v", "record-route")]
        lines += [("From", request.get("From")), ("To", self._to_of(request, status))]
        lines += [("Call-ID", self.call_id), ("CSeq", request.get("CSeq")), ("Contact", self.phone.contact)]
        lines += list(headers)
        if body:
            lines.append(("Content-Type", "application/sdp"))
        response = Message(f"SIP/2.0 {status} {reason or REASONS[status]}", lines, body)
        raw = response.encode()
        if status >= 200:
            self._answers[request.key] = raw
        self.phone.wire.send(raw)
        return response

    def _to_of(self, request: Message, status: int) -> str:
        to = request.get("To")
        return to if tag_of(to) or status == 100 else self.local

    async def answer(self, *, speak: bool = True, sdp: bytes | None = None) -> Message:
        """200 with our SDP to the INVITE that rang, and the ACK awaited."""
        assert self.invite
        offer = self.invite.sdp
        self.reply(self.invite, 200, sdp if sdp is not None else self.phone.sdp())
        self.answered_ns = time.monotonic_ns()
        ack = await self.expect("ACK")
        if speak and (offer or ack.sdp):
            self.media.speak(media_of(offer or ack.sdp))
        return ack

    def ack(self, response: Message, body: bytes = b"", *, speak: bool = True) -> None:
        """Completes our INVITE: learns the dialog from its final response and acknowledges it."""
        assert self.sent_invite
        self.remote = response.get("To")
        number = int(response.get("CSeq").split()[0])
        if response.status and response.status < 300:
            self.target = uri_of(response.get("Contact"))
            self.routes = list(reversed(response.all("Record-Route")))
            ack = self.request("ACK", body, cseq=number)
            self.answer_sdp = response.sdp
            if speak and response.sdp:
                self.media.speak(media_of(response.sdp))
        else:
            ack = self.request("ACK", cseq=number, via=self.sent_invite.get("Via"))
            ack.start = f"ACK {self.sent_invite.uri} SIP/2.0"
        raw = ack.encode()
        self._acks[response.get("CSeq")] = raw
        self.phone.wire.send(raw)

    def cancel(self) -> Message:
        assert self.sent_invite
        number = int(self.sent_invite.get("CSeq").split()[0])
        message = self.request("CANCEL", cseq=number, via=self.sent_invite.get("Via"))
        message.start = f"CANCEL {self.sent_invite.uri} SIP/2.0"
        return self.send(message)

    async def hang_up(self) -> Message:
        self.send(self.request("BYE"))
        return await self.expect(200)

    async def hung_up(self, timeout: float = WAIT_S) -> Message:
        """Their BYE, answered."""
        bye = await self.expect("BYE", timeout=timeout)
        self.reply(bye, 200)
        return bye

    def receive(self, message: Message) -> None:
        self.inbox.put_nowait(message)

    def repeat(self, message: Message) -> None:
        """A retransmission gets again what it got before."""
        self.retransmissions += 1
        kept = self._acks.get(message.get("CSeq")) if message.status else self._answers.get(message.key)
        if kept:
            self.phone.wire.send(kept)


class Phone:
    """One user on one address, talking SIP to one proxy address and RTP through `media`."""

    def __init__(
        self, user: str, address: Address, proxy: Address, *, media_host: str = "", seed: int = 1,
        law: G711 = PCMU, ssrc: int | None = None, plan: Plan = on_time, codes: bytes | None = None,
        transport: str = "udp", tls: Tls | None = None,
    ) -> None:  # fmt: skip
        self.user, self.address, self.proxy, self.law = user, address, proxy, law
        self.calls: dict[str, Call] = {}
        self.incoming: asyncio.Queue[Call] = asyncio.Queue()
        self.strays: list[Message] = []
        self._seen: set[tuple[str, ...]] = set()
        self._media_host, self._plan = media_host or address[0], plan
        self._codes = codes or law.noise(seed, NOISE_S)
        self._ssrc = ssrc if ssrc is not None else 0x5EED0000 + seed
        self.wire: UdpWire | TcpWire
        if transport == "udp":
            self.wire = UdpWire(address, proxy, self._received)
        else:
            self.wire = TcpWire(address, proxy, self._received, tls)

    async def open(self) -> "Phone":
        await self.wire.open()
        self.address = self.wire.local
        self.media = RtpPhone(
            self._media_host, codes=self._codes, law=self.law, ssrc=self._ssrc, plan=self._plan
        )
        return self

    async def close(self) -> None:
        await self.media.close()
        await self.wire.close()

    async def __aenter__(self) -> "Phone":
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def contact(self) -> str:
        name = self.wire.transport_name.lower()
        extra = "" if name == "udp" else f";transport={name}"
        return f"<sip:{self.user}@{host_port(self.address)}{extra}>"

    def new_via(self) -> str:
        branch = f"z9hG4bK-t{next(_serial)}"
        return f"SIP/2.0/{self.wire.transport_name} {host_port(self.address)};branch={branch};rport"

    def sdp(self, **changes: object) -> bytes:
        return sdp_for(self.media.local, law=self.law, **changes)  # type: ignore[arg-type]  # kept open

    def dialog(self, number: str, headers: Headers = (), call_id: str = "") -> Call:
        """A call not yet sent: `request` and `send` what the test wants to be odd about."""
        serial = next(_serial)
        call = Call(
            phone=self,
            call_id=call_id or f"t{serial}-{self.address[1]}@{self.address[0]}",
            local=f"<sip:{self.user}@{host_port(self.address)}>;tag=f{serial}",
            remote=f"<sip:{number}@{host_port(self.proxy)}>",
            target=f"sip:{number}@{host_port(self.proxy)}",
        )
        self.calls[call.call_id] = call
        return call

    def invite(self, number: str, *, sdp: bytes | None = None, headers: Headers = ()) -> Call:
        call = self.dialog(number)
        call.send(call.request("INVITE", self.sdp() if sdp is None else sdp, headers))
        return call

    async def ring(self, timeout: float = WAIT_S, *, status: int | None = 180) -> Call:
        """The next call that comes in, ringing (unless `status` is None)."""
        try:
            call = await asyncio.wait_for(self.incoming.get(), timeout)
        except TimeoutError:
            raise AssertionError(f"no call reached {self.user}") from None
        if status:
            assert call.invite
            call.reply(call.invite, status)
        return call

    async def nothing_rings(self, seconds: float = 0.3) -> None:
        await asyncio.sleep(seconds)
        assert self.incoming.empty(), f"a call reached {self.user}"

    def _received(self, raw: bytes, source: Address) -> None:
        message = Message.parse(raw)
        call = self.calls.get(message.get("Call-ID"))
        if message.key in self._seen:
            if call:
                call.repeat(message)
            return
        self._seen.add(message.key)
        if call:
            if message.method == "INVITE" and message.status is None:
                call.invite = message
            call.receive(message)
        elif message.method == "INVITE" and message.status is None:
            self._new_call(message)
        else:
            self.strays.append(message)

    def _new_call(self, invite: Message) -> None:
        call = Call(
            phone=self,
            call_id=invite.get("Call-ID"),
            local=f"{invite.get('To')};tag=t{next(_serial)}",
            remote=invite.get("From"),
            target=uri_of(invite.get("Contact")),
            routes=invite.all("Record-Route"),
            invite=invite,
        )
        self.calls[call.call_id] = call
        self.incoming.put_nowait(call)


@dataclass(frozen=True)
class Pair:
    """An answered call seen from both ends."""

    caller: Call
    callee: Call

    async def hang_up(self) -> None:
        """The caller ends it."""
        self.caller.send(self.caller.request("BYE"))
        await self.callee.hung_up()
        await self.caller.expect(200)

    async def hush(self) -> None:
        await self.caller.media.hush()
        await self.callee.media.hush()


async def connect(
    caller: Phone, callee: Phone, number: str, *, speak: bool = True, headers: Headers = ()
) -> Pair:
    """INVITE, 180, 200, ACK; both speak from then on."""
    out = caller.invite(number, headers=headers)
    rang = await callee.ring()
    answered = asyncio.create_task(rang.answer(speak=speak))
    out.ack(await out.expect(200), speak=speak)
    await answered
    return Pair(out, rang)
