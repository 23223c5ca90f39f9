"""Whole messages: what is kept, what is refused and with which status."""

import contextlib
import time

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.limits import MAX_SIP_HEADER_BYTES, MAX_SIP_HEADERS, MAX_SIP_MESSAGE_BYTES
from mediaproxy.sip.messages import CSeq, Request, Response
from mediaproxy.sip.parser import parse_message
from tests.support.sip_build import request_in

START = "INVITE sip:bob@biloxi.com SIP/2.0"
HEAD = """Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds
Max-Forwards: 70
To: Bob <sip:bob@biloxi.com>
From: Alice <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710@pc33.atlanta.com
CSeq: 314159 INVITE
Contact: <sip:alice@pc33.atlanta.com>
""".replace("\n", "\r\n")


def wire(start: str = START, head: str = HEAD, more: str = "", body: bytes = b"") -> bytes:
    return f"{start}\r\n{head}{more}\r\n".encode("utf-8", "surrogateescape") + body


def refused(data: bytes) -> int:
    with pytest.raises(Malformed) as caught:
        parse_message(data)
    return caught.value.status


def test_the_example_of_the_rfc() -> None:
    request = parse_message(wire(more="Content-Length: 4\r\n", body=b"v=0\n"))
    assert isinstance(request, Request)
    assert (request.method, request.uri, request.body) == ("INVITE", "sip:bob@biloxi.com", b"v=0\n")
    assert request.target.user == "bob"
    assert request.via.branch == "z9hG4bK776asdhds"
    assert (request.from_.display, request.from_.tag, request.to.tag) == ("Alice", "1928301774", None)
    assert request.call_id == "a84b4c76e66710@pc33.atlanta.com"
    assert request.cseq == CSeq(314159, "INVITE")
    assert request.max_forwards == 70
    assert request.contact is not None
    assert request.contact.uri.host == "pc33.atlanta.com"


def test_bytes_go_out_as_they_came_in() -> None:
    odd = b"x-BYTES  :\t \xff\xfe \r\n folded  \xc3\xa4 \r\nl:   4\r\n"
    data = START.encode() + b"\r\n" + HEAD.encode() + odd + b"\r\n" + b"\x00\xff\r\n"
    assert parse_message(data).encode() == data


def test_content_length_is_written_when_absent() -> None:
    assert parse_message(wire(body=b"abc")).encode().endswith(b"\r\nContent-Length: 3\r\n\r\nabc")


def test_content_length_follows_another_body() -> None:
    request = parse_message(wire(more="Content-Length: 4\r\nX: y\r\n", body=b"v=0\n"))
    assert request.replace(body=b"abcdef").encode().endswith(b"Content-Length: 6\r\nX: y\r\n\r\nabcdef")


def test_what_follows_the_body_is_dropped() -> None:
    assert parse_message(wire(more="l: 1\r\n", body=b"abc")).body == b"a"


def test_empty_lines_before_a_message_are_skipped() -> None:
    assert parse_message(b"\r\n\r\n" + wire()) == parse_message(wire())


def test_a_response() -> None:
    response = parse_message(wire("SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd"))
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (200, "= 2**3 * 5**2 \xd0\xbd")
    assert parse_message(response.encode()).start_line == response.start_line
    assert parse_message(wire("SIP/2.0 200 ")).start_line == "SIP/2.0 200 "


@pytest.mark.parametrize(
    "start",
    [
        "", "INVITE", "INVITE sip:b@c", "INVITE  sip:b@c SIP/2.0", "INVITE sip:b@c  SIP/2.0",
        "INVITE sip:b@c HTTP/1.1", "INVITE <sip:b@c> SIP/2.0", "INVITE sip:b@c SIP/2.0 ",
        "INV(TE sip:b@c SIP/2.0", "INVITE b SIP/2.0",
        "SIP/2.0 200", "SIP/2.0 99 x", "SIP/2.0 0200 x", "SIP/2.0 700 x", "SIP/2.0 2xx x", "SIP/2.0 ²00 x",
    ],
)  # fmt: skip
def test_bad_start_lines(start: str) -> None:
    assert refused(wire(start)) == 400


@pytest.mark.parametrize("start", ["INVITE sip:b@c SIP/7.0", "INVITE sip:b@c SIP/1.0", "SIP/3.0 200 OK"])
def test_another_version(start: str) -> None:
    assert refused(wire(start)) == 505


@pytest.mark.parametrize(
    "line",
    [
        "no colon", ": x", "a b: c", "ü: c", "To: <sip:b@c>", "From: <sip:b@c>;tag=1", "Call-ID: x",
        "CSeq: 1 INVITE", "i: x", "max-forwards: 70", "Content-Length: -1", "Content-Length: 1",
        "Content-Length: 0\r\nl: 0",
        "Content-Length: ", "Content-Length: 1e1", "Content-Length: 99999999999999999999999",
        "Content-Type: a/b\r\nc: a/c", "Contact: x", "Route: <", "Record-Route: sip:a?b", "X: a\rb",
        "X: a\nb",
    ],
)  # fmt: skip
def test_bad_header_lines(line: str) -> None:
    assert refused(wire(more=f"{line}\r\n")) == 400


@pytest.mark.parametrize("name", ["Via", "To", "From", "Call-ID", "CSeq"])
def test_mandatory_headers(name: str) -> None:
    lines = [line for line in HEAD.split("\r\n") if not line.startswith(f"{name}:")]
    assert refused(wire(head="\r\n".join(lines))) == 400


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("314159 INVITE", "314159 ACK"),
        ("314159 INVITE", "4294967296 INVITE"),
        ("Max-Forwards: 70", "Max-Forwards: 256"),
        ("Max-Forwards: 70", "Max-Forwards: x"),
        ("pc33.atlanta.com;branch", "pc33.atlanta.com;;branch"),
        ("Bob <sip", "B,ob <sip"),
        ("Via", " Via"),
    ],
)
def test_bad_values(old: str, new: str) -> None:
    assert refused(wire(head=HEAD.replace(old, new))) == 400


def test_limits() -> None:
    assert refused(wire(more=f"X: {'y' * MAX_SIP_HEADER_BYTES}\r\n")) == 413
    assert refused(wire(more="X: y\r\n" * MAX_SIP_HEADERS)) == 413
    assert refused(wire(body=b"x" * MAX_SIP_MESSAGE_BYTES)) == 413
    assert refused(START.encode()) == 400
    assert refused(b"") == 400


def test_requests_and_responses_are_told_apart() -> None:
    assert request_in() == request_in()
    assert request_in() != request_in(cseq=2)
    assert len({request_in(), request_in()}) == 1


COSTLY = {
    "quotes": 'Contact: "' + "\\" * 8000 + "\r\n",
    "pairs": 'Contact: "' + '\\"' * 4000 + "\r\n",
    "escaped letters": 'Contact: "' + "\\x" * 4000 + '"<sip:a>\r\n',
    "mixed letters": "Contact: " + "aü" * 2600 + "<sip:a>\r\n",
    "semicolons": "Contact: <sip:a>" + ";" * 8000 + "\r\n",
    "commas": "Route: " + "," * 8000 + "\r\n",
    "routes": "Route: " + ",".join(["<sip:a>"] * 1000) + "\r\n",
    "open brackets": "Route: " + "<" * 8000 + "\r\n",
    "bracket pairs": "Route: " + "<>," * 2600 + "\r\n",
    "escapes": "Contact: <sip:" + "%41" * 2600 + "@a>\r\n",
    "blanks": "Contact: " + " " * 8000 + "\r\n",
    "folds": "X: a" + "\r\n b" * 2000 + "\r\n",
    "tokens": "Contact: " + "a " * 4000 + "<sip:a>\r\n",
    "wide letters": "Contact: " + "ü" * 8000 + "<sip:a>\r\n",
    "params": "Contact: <sip:a>" + ";a=b" * 2000 + "\r\n",
    "names": "a" * 8000 + ":\r\n",
    "digits": "Max-Forwards: " + "9" * 8000 + "\r\n",
}


@pytest.mark.parametrize("name", COSTLY)
def test_no_message_is_costly(name: str) -> None:
    header = COSTLY[name]
    data = wire(more=header * (64_000 // len(header.encode())))
    assert len(data) <= MAX_SIP_MESSAGE_BYTES
    best = min(_cost(data) for _ in range(3))
    assert best < 0.02


def _cost(data: bytes) -> float:
    begin = time.process_time()
    with contextlib.suppress(Malformed):
        parse_message(data)
    return time.process_time() - begin
