"""Messages and layers for tests of the SIP core, built the short way."""

from collections.abc import Callable
from itertools import count

from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request
from mediaproxy.sip.outputs import (
    AckMissing,
    AckReceived,
    Cancelled,
    Output,
    RequestReceived,
    ResponseReceived,
    TimedOut,
    Transmit,
    TransportFailed,
)
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.transactions import TransactionLayer

HERE = Endpoint("192.0.2.1", 5060)
THERE = Endpoint("192.0.2.2", 5060)
UDP = Flow("udp", HERE, THERE)
TCP = Flow("tcp", HERE, THERE, 1)


def numbered_bytes() -> Callable[[int], bytes]:
    """Random bytes that can be foreseen, and never repeat."""
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


def new_layer() -> TransactionLayer:
    return TransactionLayer(random_bytes=numbered_bytes())


def ns(seconds: float) -> int:
    return round(seconds * 1_000_000_000)


def request_out(method: str = "INVITE", *, cseq: int = 1, to_tag: str = "") -> Request:
    """A request of ours, still without a Via."""
    headers = Headers.of(
        ("Max-Forwards", 70),
        ("From", "<sip:here@192.0.2.1>;tag=ours"),
        ("To", "<sip:there@192.0.2.2>" + (f";tag={to_tag}" if to_tag else "")),
        ("Call-ID", "call-1"),
        ("CSeq", f"{cseq} {method}"),
        ("Contact", "<sip:here@192.0.2.1>"),
    )
    return Request(method, "sip:there@192.0.2.2", headers)


def request_in(
    method: str = "INVITE",
    *,
    branch: str = "z9hG4bKin",
    cseq: int = 1,
    to_tag: str = "",
    from_tag: str = "theirs",
    call_id: str = "call-2",
    cseq_method: str = "",
    via: str = "SIP/2.0/UDP 192.0.2.2:5060",
    more: str = "",
) -> Request:
    """A request of the peer's as it is after parsing."""
    tag = f";tag={to_tag}" if to_tag else ""
    text = (
        f"{method} sip:here@192.0.2.1 SIP/2.0\r\n"
        f"Via: {via}" + (f";branch={branch}" if branch else "") + "\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:there@192.0.2.2>;tag={from_tag}\r\nTo: <sip:here@192.0.2.1>{tag}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: {cseq} {cseq_method or method}\r\nContact: <sip:there@192.0.2.2>\r\n"
        f"{more}Content-Length: 0\r\n\r\n"
    )
    message = parse_message(text.encode())
    assert isinstance(message, Request)
    return message


def told(output: Output) -> str:
    """An output in a word: `INVITE`, `180` for what is sent, `^180` for what is passed up."""
    match output:
        case Transmit():
            message = parse_message(output.data)
            return message.method if isinstance(message, Request) else str(message.status)
        case RequestReceived() | AckReceived():
            return f"^{output.request.method}"
        case ResponseReceived():
            return f"^{output.response.status}"
        case Cancelled():
            return "^cancelled"
        case AckMissing():
            return "^ack missing"
        case TimedOut():
            return "^timed out"
        case TransportFailed():
            return "^failed"
