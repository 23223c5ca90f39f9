"""INFO within a call (RFC 6086, RFC 2976): passed on, or a demand for the recorder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mediaproxy.calls.events import RecordRequested
from mediaproxy.calls.leg import Leg
from mediaproxy.calls.plane import LegId
from mediaproxy.calls.signalling import Reply, Signalling
from mediaproxy.calls.wire import copied
from mediaproxy.clock import NS_PER_S
from mediaproxy.ids import CallId
from mediaproxy.rtp.codes import CodeMatcher, Cut, Pending
from mediaproxy.sip.messages import Request
from mediaproxy.sip.outputs import RequestReceived

TOLD_TWICE_NS = 2 * NS_PER_S  # an INFO so soon after an RFC 4733 event is the same digit
DIGITS = frozenset("0123456789*#ABCD")
_NUMBERED = {"10": "*", "11": "#"}  # as Cisco writes them, by the numbers of RFC 4733
_DEMANDS = {"on": "start", "off": "stop"}


def read_digit(request: Request) -> str | None:
    """The digit of `application/dtmf-relay` ("Signal=5") or `application/dtmf` ("5"), if it is one."""
    if request.content_type not in ("application/dtmf-relay", "application/dtmf"):
        return None
    text = request.body[:256].decode("ascii", "replace")
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip().lower() == "signal":
            return _digit(value)
    return _digit(text) if "=" not in text else None


def _digit(text: str) -> str | None:
    digit = text.strip().upper()
    digit = _NUMBERED.get(digit, digit)
    return digit if digit in DIGITS else None


@dataclass(slots=True)
class CodeLeg:
    """A leg whose digits may be codes. `held` are the INFOs that wait for what follows them."""

    matcher: CodeMatcher
    held: list[Request] = field(default_factory=list)
    pending: Pending | None = None  # as it was told last
    event_ns: int | None = None  # when the plane last saw an RFC 4733 event

    def told_twice(self, now_ns: int) -> bool:
        return self.event_ns is not None and now_ns - self.event_ns < TOLD_TWICE_NS


@dataclass(slots=True)
class Infos:
    """`watched` holds the legs whose demands count: ours, never the carrier's."""

    call: CallId
    signalling: Signalling
    legs: tuple[Leg, Leg]
    demand: Callable[[RecordRequested], None]
    watched: dict[LegId, CodeLeg] = field(default_factory=dict)

    def watch(self, leg: LegId, codes: Mapping[str, str]) -> None:
        self.watched[leg] = CodeLeg(CodeMatcher(codes))

    def receive(self, leg: Leg, received: RequestReceived) -> None:
        request = received.request
        code_leg = self.watched.get(leg.id)
        record = request.headers.first("record")
        if record is not None:
            return self._receive_record(leg, received, record)
        digit = read_digit(request) if code_leg is not None else None
        if code_leg is None or digit is None:
            return self._relay(leg, received)
        if code_leg.told_twice(received.arrived_ns):  # passed on it might be a code's, that RFC 4733 withheld
            return self.signalling.answer(received, 200)
        return self._receive_digit(leg, code_leg, received, digit)

    def deadline(self, leg: LegId) -> float | None:
        """When digits of a leg are let go, in seconds."""
        code_leg = self.watched.get(leg)
        if code_leg is None or code_leg.matcher.deadline_ns is None:
            return None
        return code_leg.matcher.deadline_ns / NS_PER_S

    def expire(self, leg: LegId) -> None:
        """The deadline has passed: what waited was no code."""
        code_leg = self.watched.get(leg)
        if code_leg is not None and (deadline_ns := code_leg.matcher.deadline_ns) is not None:
            self._decide(self.legs[leg], code_leg, code_leg.matcher.expire(deadline_ns))

    def digits_seen(self, leg: LegId, arrived_ns: int) -> None:
        """Digits that were told by INFO before are the same ones, told again where they count."""
        if leg in self.watched:
            code_leg = self.watched[leg]
            code_leg.event_ns = arrived_ns
            code_leg.matcher.forget()
            code_leg.held.clear()
            code_leg.pending = None

    def _receive_record(self, leg: Leg, received: RequestReceived, record: str) -> None:
        action = _DEMANDS.get(record.strip().lower())
        if not leg.is_agent:
            self.signalling.answer(received, 403)
        elif action is None:
            self.signalling.answer(received, 400)
        else:
            self.demand(
                RecordRequested(
                    self.call, leg.id, action, "sip", received.arrived_ns, reply=received.transaction
                )
            )

    def _receive_digit(self, leg: Leg, code_leg: CodeLeg, received: RequestReceived, digit: str) -> None:
        """A digit that may belong to a code is answered at once: phones send one after the other."""
        cuts = code_leg.matcher.feed(digit, received.arrived_ns)
        passes = not code_leg.matcher.held and bool(cuts) and cuts[-1].action is None
        if passes:
            cuts = cuts[:-1]
        else:
            self.signalling.answer(received, 200)
            code_leg.held.append(received.request)
        self._decide(leg, code_leg, cuts)
        if passes:
            self._relay(leg, received)

    def _decide(self, leg: Leg, code_leg: CodeLeg, cuts: list[Cut]) -> None:
        for cut in cuts:
            requests, code_leg.held = code_leg.held[: cut.length], code_leg.held[cut.length :]
            if cut.action is not None:
                self._demand_code(leg, cut.action, cut.at_ns, certain=True)
            else:
                for request in requests:
                    self._send_on(leg, request, _ignore)
        pending = code_leg.matcher.pending
        if pending is not None and pending != code_leg.pending:
            self._demand_code(leg, pending.action, pending.at_ns, certain=False)
        code_leg.pending = pending

    def _demand_code(self, leg: Leg, action: str, at_ns: int, *, certain: bool) -> None:
        self.demand(RecordRequested(self.call, leg.id, action, "dtmf", at_ns, certain=certain))

    def _relay(self, leg: Leg, received: RequestReceived) -> None:
        if self._other(leg).dialog is None:
            return self.signalling.answer(received, 481)
        return self._send_on(leg, received.request, lambda reply: self._pass_back(leg, received, reply))

    def _send_on(self, leg: Leg, request: Request, listener: Callable[[Reply], None]) -> None:
        other = self._other(leg)
        headers = copied(request, leg.peer, body=True)
        self.signalling.send(other, other.request("INFO", headers, request.body), listener)

    def _pass_back(self, leg: Leg, received: RequestReceived, reply: Reply) -> None:
        if reply.status < 200:
            return
        headers, body = None, b""
        if reply.response is not None:
            headers = copied(reply.response, self._other(leg).peer, body=True)
            body = reply.response.body
        self.signalling.answer(
            received, reply.passed_status, reason=reply.passed_reason, headers=headers, body=body
        )

    def _other(self, leg: Leg) -> Leg:
        return self.legs[leg.id.other]


def _ignore(reply: Reply) -> None:
    """The digit was answered when it came."""
