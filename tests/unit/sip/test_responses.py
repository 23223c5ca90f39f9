"""Responses (RFC 3261 8.2.6) and answers to what could not be parsed."""

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import answer_malformed, respond, stamp
from tests.support.sip_build import request_in

SOURCE = Endpoint("192.0.2.2", 5060)
ROUTED = request_in(more="Via: SIP/2.0/UDP p1.example\r\nRecord-Route: <sip:p1.example;lr>\r\nX: y\r\n")


def test_what_is_copied() -> None:
    response = respond(ROUTED, 200, tag="ours", headers=Headers.of(("Contact", "<sip:me@h>")), body=b"b")
    assert str(response.headers) == (
        "Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKin\r\nFrom: <sip:there@192.0.2.2>;tag=theirs\r\n"
        "To: <sip:here@192.0.2.1>;tag=ours\r\nCall-ID: call-2\r\nCSeq: 1 INVITE\r\n"
        "Via: SIP/2.0/UDP p1.example\r\nRecord-Route: <sip:p1.example;lr>\r\nContact: <sip:me@h>\r\n"
    )
    assert response.start_line == "SIP/2.0 200 OK"


@pytest.mark.parametrize(("status", "copied"), [(100, False), (180, True), (200, True), (404, False)])
def test_what_makes_a_dialog_carries_the_route(status: int, copied: bool) -> None:
    assert ("Record-Route" in respond(ROUTED, status).headers) is copied


def test_a_trying_has_no_tag_and_a_tag_is_never_changed() -> None:
    assert respond(request_in(), 100, tag="x").to.tag is None
    assert respond(request_in(to_tag="old"), 200, tag="x").to.tag == "old"


@pytest.mark.parametrize("to_tag", ["", "old"])
def test_what_a_response_knows_without_reading_is_what_it_reads(to_tag: str) -> None:
    request = stamp(request_in(to_tag=to_tag), Endpoint("198.51.100.1", 9))
    response = respond(request, 200, tag="ours")
    read = parse_message(response.encode())
    assert (response.via, response.from_, response.to) == (read.via, read.from_, read.to)
    assert (response.cseq, response.call_id) == (read.cseq, read.call_id)


def test_a_request_that_needs_no_stamp_is_the_same_object() -> None:
    request = request_in()
    assert stamp(request, SOURCE) is request


def broken(more: str = "X\r\n", **changes: str) -> bytes:
    data = request_in().encode().replace(b"Max-Forwards", f"{more}Max-Forwards".encode())
    for old, new in changes.items():
        data = data.replace(old.encode(), new.encode())
    return data


def answered(data: bytes) -> str | None:
    with pytest.raises(Malformed) as caught:
        parse_message(data)
    answer = answer_malformed(data, caught.value, Endpoint("198.51.100.1", 9))
    return None if answer is None else f"{answer[0].decode()}to {answer[1]}"


def test_a_malformed_request_is_answered_where_its_via_says() -> None:
    answer = answered(broken())
    assert answer is not None
    assert answer.startswith(
        "SIP/2.0 400 Bad Request\r\n"
        "Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKin;received=198.51.100.1\r\n"
        "From: <sip:there@192.0.2.2>;tag=theirs\r\nTo: <sip:here@192.0.2.1>;tag="
    )
    assert answer.endswith(
        "Call-ID: call-2\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\nto 198.51.100.1:5060"
    )
    assert answered(broken()) == answer  # the same tag each time (8.2.7)


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_what_nobody_could_match_is_dropped(name: str) -> None:
    assert answered(broken(**{name: f"X-{name}"})) is None


def test_a_malformed_ack_is_dropped() -> None:
    assert answered(broken(INVITE="ACK")) is None
    assert answered(broken(**{"1 INVITE": "1 ACK"})) is None


def test_a_malformed_response_is_dropped() -> None:
    assert answered(respond(request_in(), 200).encode().replace(b"CSeq: 1", b"CSeq: x")) is None


def test_lines_that_could_be_read_two_ways_are_not_reflected() -> None:
    assert answered(broken(**{"call-2": "call-2\nVia: x"})) is None
