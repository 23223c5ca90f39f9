"""A synthetic telephone: places, takes and ends calls. Pure; `SipTransport` runs it."""

from collections.abc import Callable
from dataclasses import dataclass

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sdp.audio import Direction, read_answer, read_offer
from mediaproxy.sdp.description import parse
from mediaproxy.sip.dialog import Dialog, new_call_id, new_tag
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import (
    AckMissing,
    AckReceived,
    Cancelled,
    RequestReceived,
    ResponseReceived,
    TimedOut,
    TransactionId,
    Transmit,
    TransportFailed,
)
from mediaproxy.sip.responses import respond
from mediaproxy.sip.transactions import TransactionLayer

PCMU = 0
TELEPHONE_EVENT = 101
CODECS = {PCMU: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}  # G.722 is told with half its rate
REQUEST_TIMEOUT = 408
_MIRRORED = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY} | {
    same: same for same in (Direction.SENDRECV, Direction.INACTIVE)
}
SERVICE_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Invited:
    """A call comes in from `caller`, a user part: `ring` and `answer` it."""

    call: int
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Ringing:
    call: int


@dataclass(frozen=True, slots=True)
class Talking:
    """Both ends agreed: RTP goes to `media`."""

    call: int
    media: Endpoint


@dataclass(frozen=True, slots=True)
class Changed:
    """What we asked of a call that stands, hold or resume, was answered with `status`."""

    call: int
    status: int


@dataclass(frozen=True, slots=True)
class Over:
    """The call ended; `status` says why it never came about."""

    call: int
    status: int | None = None


Output = Transmit | Invited | Ringing | Talking | Changed | Over


@dataclass(slots=True)
class _Call:
    """`tag` is ours; `invite` the transaction that began it, `media` where our own RTP is."""

    id: int
    tag: str
    flow: Flow
    request: Request
    invite: TransactionId
    media: Endpoint
    dialog: Dialog | None = None
    version: int = 1  # of our description


class Phone:
    """One telephone at one SIP address; its calls are numbered."""

    def __init__(self, user: str, *, random: Callable[[int], bytes], payload_type: int = PCMU) -> None:
        """`payload_type`: that of the codec which it speaks (RFC 3551)."""
        self._user = user
        self._payload_type = payload_type
        self._random = random
        self._layer = TransactionLayer(random_bytes=random)
        self._outputs: list[Output] = []
        self._calls: dict[int, _Call] = {}
        self._by_transaction: dict[TransactionId, int] = {}
        self._by_tag: dict[str, int] = {}
        self._changes: dict[TransactionId, tuple[int, Request]] = {}
        self._last = 0

    # -- what a person does

    def invite(
        self, number: str, flow: Flow, *, media: Endpoint, now_ns: int, caller: str | None = None
    ) -> int:
        """Call `number` through the proxy at `flow.remote`, as `caller` if told; our RTP is at `media`."""
        tag = new_tag(self._random)
        uri = f"sip:{number}@{flow.remote}"
        headers = Headers.of(
            ("Max-Forwards", "70"),
            ("From", f"<sip:{caller or self._user}@{flow.local}>;tag={tag}"),
            ("To", f"<{uri}>"),
            ("Call-ID", new_call_id(self._random)),
            ("CSeq", "1 INVITE"),
            *self._contact(flow),
        )
        body = description(media, payload_type=self._payload_type)
        request = Request("INVITE", uri, headers, body)
        transaction = self._layer.send_request(request, flow, now_ns=now_ns)
        return self._remember(_Call(self._next(), tag, flow, request, transaction, media)).id

    def ring(self, call: int, *, now_ns: int) -> None:
        self._respond(self._calls[call], 180, b"", now_ns)

    def answer(self, call: int, *, media: Endpoint, now_ns: int) -> None:
        """Take a call that came in; our RTP is at `media`."""
        ours = self._calls[call]
        ours.media = media
        ours.dialog = Dialog.uas(ours.request, ours.tag)
        self._respond(ours, 200, description(media, payload_type=self._payload_type), now_ns)

    def hang_up(self, call: int, *, now_ns: int) -> None:
        ours = self._calls.get(call)
        if ours is None or ours.dialog is None:
            return
        self._layer.send_request(ours.dialog.request("BYE"), ours.flow, now_ns=now_ns)
        self._forget(ours)

    def change(self, call: int, direction: Direction, *, now_ns: int) -> None:
        """Offer another direction for the audio of a call that stands: hold it, or resume it (re-INVITE)."""
        ours = self._calls.get(call)
        if ours is None or ours.dialog is None:
            return
        ours.version += 1
        body = description(ours.media, direction, ours.version, self._payload_type)
        request = ours.dialog.request("INVITE", headers=Headers.of(*self._contact(ours.flow)), body=body)
        self._changes[self._layer.send_request(request, ours.flow, now_ns=now_ns)] = call, request

    def send_info(self, call: int, content_type: str, body: bytes, *, now_ns: int) -> None:
        """An INFO within a call that stands (RFC 6086)."""
        ours = self._calls.get(call)
        if ours is None or ours.dialog is None:
            return
        request = ours.dialog.request("INFO", headers=Headers.of(("Content-Type", content_type)), body=body)
        self._layer.send_request(request, ours.flow, now_ns=now_ns)

    # -- the four verbs

    def receive_message(self, message: Request | Response, flow: Flow, *, now_ns: int) -> None:
        self._layer.receive_message(message, flow, now_ns=now_ns)
        self._pump(now_ns)

    def transport_failed(self, transaction: TransactionId, *, now_ns: int) -> None:
        self._layer.transport_failed(transaction, now_ns=now_ns)
        self._pump(now_ns)

    def handle_timer(self, *, now: float) -> None:
        self._layer.handle_timer(now=now)
        self._pump(round(now * 1e9))

    def next_deadline(self) -> float | None:
        return self._layer.next_deadline()

    def drain(self) -> list[Output]:
        self._pump(0)
        outputs, self._outputs = self._outputs, []
        return outputs

    def _pump(self, now_ns: int) -> None:
        while outputs := self._layer.drain():
            for output in outputs:
                match output:
                    case Transmit():
                        self._outputs.append(output)
                    case RequestReceived():
                        self._requested(output, now_ns)
                    case ResponseReceived():
                        self._responded(output, now_ns)
                    case Cancelled():
                        self._cancelled(output, now_ns)
                    case TimedOut():
                        self._failed(output.transaction, REQUEST_TIMEOUT)
                    case TransportFailed():
                        self._failed(output.transaction, SERVICE_UNAVAILABLE)
                    case AckReceived() | AckMissing():
                        pass  # the call stands from our 200 on

    # -- what the peer does

    def _requested(self, received: RequestReceived, now_ns: int) -> None:
        request = received.request
        if request.method == "INVITE" and request.to.tag is None:
            self._invited(received, now_ns)
            return
        call = self._by_tag.get(request.to.tag or "")
        if call is not None and request.method == "INVITE":
            self._change_asked(self._calls[call], received, now_ns)
            return
        status = 481 if call is None else 200 if request.method in ("BYE", "INFO", "OPTIONS") else 501
        self._layer.send_response(received.transaction, respond(request, status), now_ns=now_ns)
        if call is not None and request.method == "BYE":
            self._end(self._calls[call], None)

    def _invited(self, received: RequestReceived, now_ns: int) -> None:
        try:
            read_offer(parse(received.request.body))
        except Malformed as error:
            refusal = respond(received.request, error.status, tag=new_tag(self._random))
            self._layer.send_response(received.transaction, refusal, now_ns=now_ns)
            return
        nowhere = Endpoint("0.0.0.0", 0)  # noqa: S104 - told when the call is answered
        tag = new_tag(self._random)
        call = _Call(self._next(), tag, received.flow, received.request, received.transaction, nowhere)
        self._outputs.append(Invited(self._remember(call).id, received.request.from_.uri.user or ""))

    def _change_asked(self, call: _Call, received: RequestReceived, now_ns: int) -> None:
        """The peer holds or resumes: agree."""
        try:
            offered = read_offer(parse(received.request.body)).direction
        except Malformed as error:
            self._layer.send_response(
                received.transaction, respond(received.request, error.status), now_ns=now_ns
            )
            return
        call.version += 1
        body = description(call.media, _MIRRORED[offered], call.version, self._payload_type)
        headers = Headers.of(*self._contact(call.flow))
        response = respond(received.request, 200, headers=headers, body=body)
        self._layer.send_response(received.transaction, response, now_ns=now_ns)

    def _change_answered(self, received: ResponseReceived, now_ns: int) -> None:
        number, request = self._changes[received.transaction]
        status, call = received.response.status, self._calls.get(number)
        if status < 200 or call is None or call.dialog is None:
            return
        del self._changes[received.transaction]
        if status < 300:
            ack = call.dialog.ack(request.cseq.number)
            self._layer.send_ack(received.transaction, ack, call.flow, now_ns=now_ns)
        self._outputs.append(Changed(number, status))

    def _responded(self, received: ResponseReceived, now_ns: int) -> None:
        if received.transaction in self._changes:
            self._change_answered(received, now_ns)
            return
        number = self._by_transaction.get(received.transaction)
        if number is None or received.response.cseq.method != "INVITE":
            return
        call, response = self._calls[number], received.response
        if response.status >= 300:
            self._end(call, response.status)
        elif response.status >= 200:
            call.dialog = Dialog.uac(call.request, response)
            ack = call.dialog.ack(call.request.cseq.number)
            self._layer.send_ack(received.transaction, ack, call.flow, now_ns=now_ns)
            self._talk(call, response.body)
        elif response.status > 100:
            self._outputs.append(Ringing(number))

    def _cancelled(self, cancelled: Cancelled, now_ns: int) -> None:
        number = self._by_transaction.get(cancelled.transaction)
        if number is not None:
            call = self._calls[number]
            self._layer.send_response(
                cancelled.transaction, respond(call.request, 487, tag=call.tag), now_ns=now_ns
            )
            self._end(call, 487)

    def _failed(self, transaction: TransactionId, status: int) -> None:
        number = self._by_transaction.get(transaction)
        if number is not None:
            self._end(self._calls[number], status)
        elif transaction in self._changes:
            self._outputs.append(Changed(self._changes.pop(transaction)[0], status))

    # -- the calls

    def _talk(self, call: _Call, body: bytes) -> None:
        """Send where the other side's description says, once we have it."""
        said = parse(body)
        audio = read_offer(said) if body is call.request.body else read_answer(said, 0)
        if audio.rtp is not None:
            self._outputs.append(Talking(call.id, audio.rtp))

    def _respond(self, call: _Call, status: int, body: bytes, now_ns: int) -> None:
        headers = Headers.of(*self._contact(call.flow)) if body else None
        response = respond(call.request, status, tag=call.tag, headers=headers, body=body)
        self._layer.send_response(call.invite, response, now_ns=now_ns)
        if status == 200:
            self._talk(call, call.request.body)

    def _contact(self, flow: Flow) -> tuple[tuple[str, str], tuple[str, str]]:
        return ("Contact", f"<sip:{self._user}@{flow.local}>"), ("Content-Type", "application/sdp")

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _remember(self, call: _Call) -> _Call:
        self._calls[call.id] = call
        self._by_transaction[call.invite] = call.id
        self._by_tag[call.tag] = call.id
        return call

    def _end(self, call: _Call, status: int | None) -> None:
        self._forget(call)
        self._outputs.append(Over(call.id, status))

    def _forget(self, call: _Call) -> None:
        del self._calls[call.id], self._by_transaction[call.invite], self._by_tag[call.tag]


def description(
    media: Endpoint,
    direction: Direction = Direction.SENDRECV,
    version: int = 1,
    payload_type: int = PCMU,
) -> bytes:
    """One codec and telephone-events at `media` (RFC 4566)."""
    family, codec = media.family.value, CODECS[payload_type]
    return (
        f"v=0\r\no=- 1 {version} IN {family} {media.host}\r\ns=-\r\nc=IN {family} {media.host}\r\nt=0 0\r\n"
        f"m=audio {media.port} RTP/AVP {payload_type} {TELEPHONE_EVENT}\r\n"
        f"a=rtpmap:{payload_type} {codec}\r\n"
        f"a=rtpmap:{TELEPHONE_EVENT} telephone-event/8000\r\na=fmtp:{TELEPHONE_EVENT} 0-15\r\n"
        f"a=ptime:20\r\na={direction.value}\r\n"
    ).encode()
