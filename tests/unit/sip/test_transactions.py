"""Matching (RFC 3261 17.1.3, 17.2.3), and what the layer does for every transaction user."""

import pytest

from mediaproxy.errors import Misuse
from mediaproxy.net import Endpoint
from mediaproxy.sip import transactions
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import (
    NO_TRANSACTION,
    AckReceived,
    Cancelled,
    RequestReceived,
    ResponseReceived,
    TransactionId,
    Transmit,
)
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import respond
from mediaproxy.sip.transactions import TransactionLayer
from tests.support.sip_build import (
    HERE,
    TCP,
    THERE,
    UDP,
    new_layer,
    ns,
    request_in,
    request_out,
    told,
)


def receive(layer: TransactionLayer, message: Request | Response, at: float = 0.0, flow: Flow = UDP) -> str:
    layer.receive_message(message, flow, now_ns=ns(at))
    return " ".join(told(output) for output in layer.drain())


def sent_by(layer: TransactionLayer) -> list[Request | Response]:
    return [parse_message(output.data) for output in layer.drain() if isinstance(output, Transmit)]


def open_client(layer: TransactionLayer, request: Request | None = None) -> Request:
    layer.send_request(request or request_out(), UDP, now_ns=0)
    (sent,) = sent_by(layer)
    assert isinstance(sent, Request)
    return sent


def answer(layer: TransactionLayer, request: Request, status: int, tag: str = "ours") -> str:
    layer.send_response(TransactionId(1), respond(request, status, tag=tag), now_ns=0)
    return " ".join(told(output) for output in layer.drain())


# -- what we send


def test_a_request_gets_a_via_of_our_own() -> None:
    sent = open_client(new_layer())
    assert str(sent.via) == f"SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK{1:024x}"
    assert [header.key for header in sent.headers][:2] == ["via", "max-forwards"]


def test_an_ack_opens_no_transaction() -> None:
    with pytest.raises(Misuse):
        new_layer().send_request(request_out("ACK"), UDP, now_ns=0)


@pytest.mark.parametrize(
    ("old", "new"),
    [("z9hG4bK00", "z9hG4bKff"), ("192.0.2.1:5060;rport", "192.0.2.1:5070;rport"), ("1 INVITE", "1 BYE")],
)
def test_a_response_that_is_not_ours_is_a_stray(old: str, new: str) -> None:
    layer = new_layer()
    sent = open_client(layer)
    response = parse_message(respond(sent, 200, tag="x").encode().replace(old.encode(), new.encode()))
    assert receive(layer, response) == ""
    assert layer.counters.strays == 1


def test_a_response_is_matched_whatever_way_it_came() -> None:
    layer = new_layer()
    response = respond(open_client(layer), 180, tag="x")
    assert receive(layer, response, flow=TCP) == "^180"


def test_the_ack_of_a_refusal_is_made_of_the_invite_and_the_response() -> None:
    layer = new_layer()
    sent = open_client(
        layer, request_out().replace(headers=request_out().headers.prepended("Route", "<sip:p;lr>"))
    )
    layer.receive_message(respond(sent, 486, tag="x"), UDP, now_ns=0)
    (ack,) = sent_by(layer)
    assert isinstance(ack, Request)
    assert (ack.method, ack.uri, str(ack.cseq)) == ("ACK", sent.uri, "1 ACK")
    assert (ack.via, ack.from_, ack.call_id, ack.route) == (
        sent.via,
        sent.from_,
        sent.call_id,
        ("<sip:p;lr>",),
    )
    assert ack.to.tag == "x"


def test_the_cancel_is_the_invite_under_another_name() -> None:
    layer = new_layer()
    sent = open_client(layer)
    receive(layer, respond(sent, 180, tag="x"))
    layer.cancel(TransactionId(1), now_ns=0)
    (cancel,) = sent_by(layer)
    assert isinstance(cancel, Request)
    assert (cancel.method, cancel.uri, str(cancel.cseq)) == ("CANCEL", sent.uri, "1 CANCEL")
    assert (cancel.via, cancel.from_, cancel.to, cancel.call_id) == (
        sent.via,
        sent.from_,
        sent.to,
        sent.call_id,
    )
    assert cancel.headers.first("Max-Forwards") == "70"
    assert receive(layer, respond(cancel, 200)) == ""  # nobody asked for it


def test_each_fork_is_told_once_and_acknowledged_again_when_it_repeats() -> None:
    layer = new_layer()
    sent = open_client(layer)
    assert receive(layer, respond(sent, 200, tag="x")) == "^200"
    assert receive(layer, respond(sent, 200, tag="x")) == ""  # its ACK is not known yet
    layer.send_ack(TransactionId(1), request_out("ACK", to_tag="x"), UDP, now_ns=0)
    (first,) = layer.drain()
    assert isinstance(first, Transmit)
    assert first.transaction == NO_TRANSACTION
    layer.receive_message(respond(sent, 200, tag="x"), UDP, now_ns=0)
    assert layer.drain() == [first]
    assert receive(layer, respond(sent, 200, tag="y")) == "^200"


def test_an_ack_after_the_transaction_goes_out_once() -> None:
    layer = new_layer()
    layer.send_ack(TransactionId(7), request_out("ACK", to_tag="x"), UDP, now_ns=0)
    assert [told(output) for output in layer.drain()] == ["ACK"]


def test_events_say_when_the_message_arrived() -> None:
    layer = new_layer()
    layer.receive_message(respond(open_client(layer), 200, tag="x"), UDP, now_ns=123_456_789_012_345_678)
    (event,) = layer.drain()
    assert isinstance(event, ResponseReceived)
    assert event.arrived_ns == 123_456_789_012_345_678


# -- what we receive


def test_a_request_is_passed_up_stamped_with_its_source() -> None:
    layer = new_layer()
    request = request_in(via="SIP/2.0/UDP host.invalid:5070;rport")
    layer.receive_message(request, Flow("udp", HERE, Endpoint("198.51.100.9", 4444)), now_ns=5)
    (event,) = layer.drain()
    assert isinstance(event, RequestReceived)
    assert event.request.via.reply_to == Endpoint("198.51.100.9", 4444)
    layer.send_response(event.transaction, respond(event.request, 180, tag="x"), now_ns=6)
    (transmit,) = layer.drain()
    assert isinstance(transmit, Transmit)
    assert transmit.flow == Flow("udp", HERE, Endpoint("198.51.100.9", 4444))


def test_without_rport_the_response_goes_to_the_port_in_the_via() -> None:
    layer = new_layer()
    layer.receive_message(request_in(), Flow("udp", HERE, Endpoint("192.0.2.2", 4444)), now_ns=0)
    layer.drain()
    layer.send_response(TransactionId(1), respond(request_in(), 180), now_ns=0)
    (transmit,) = layer.drain()
    assert isinstance(transmit, Transmit)
    assert transmit.flow.remote == THERE


def test_over_tcp_the_response_goes_back_on_its_connection_or_to_the_via() -> None:
    layer = new_layer()
    receive(layer, request_in(via="SIP/2.0/TCP 192.0.2.2:5070"), flow=TCP)
    layer.send_response(TransactionId(1), respond(request_in(), 180), now_ns=0)
    (transmit,) = layer.drain()
    assert isinstance(transmit, Transmit)
    assert (transmit.flow, transmit.fallback) == (TCP, Endpoint("192.0.2.2", 5070))


@pytest.mark.parametrize(
    "other",
    [
        request_in(branch="z9hG4bKother", call_id="other"),
        request_in(via="SIP/2.0/UDP 192.0.2.2:5099", call_id="other"),
        request_in("OPTIONS"),
    ],
)
def test_another_branch_or_sender_or_method_is_another_transaction(other: Request) -> None:
    layer = new_layer()
    assert receive(layer, request_in()) == "^INVITE"
    assert receive(layer, other) == f"^{other.method}"
    assert len(layer) == 2


@pytest.mark.parametrize("branch", ["", "old-style", "z9hG4bK"])
def test_without_a_unique_branch_requests_are_told_apart_as_in_rfc_2543(branch: str) -> None:
    layer = new_layer()
    first, second = request_in(branch=branch), request_in(branch=branch, call_id="other")
    assert receive(layer, first) == "^INVITE"
    assert receive(layer, first) == ""
    assert receive(layer, second) == "^INVITE"
    assert answer(layer, first, 486) == "486"
    assert receive(layer, request_in("ACK", branch=branch, to_tag="ours")) == ""
    assert layer.counters.strays == 0


def test_the_same_request_on_two_ways_is_merged() -> None:
    layer = new_layer()
    assert receive(layer, request_in()) == "^INVITE"
    merged = request_in(branch="z9hG4bKfork")
    assert receive(layer, merged) == "482"
    assert receive(layer, merged) == "482"
    assert layer.counters.merged == 1
    assert receive(layer, request_in(branch="z9hG4bKlater", cseq=2)) == "^INVITE"


def test_a_request_within_a_dialog_is_never_merged() -> None:
    layer = new_layer()
    assert receive(layer, request_in(to_tag="ours")) == "^INVITE"
    assert receive(layer, request_in(to_tag="ours", branch="z9hG4bKfork")) == "^INVITE"


def test_after_its_transaction_a_request_is_merged_no_more() -> None:
    layer = new_layer()
    receive(layer, request_in("OPTIONS"), flow=TCP)
    assert answer(layer, request_in("OPTIONS"), 200) == "200"
    assert len(layer) == 0
    assert receive(layer, request_in("OPTIONS", branch="z9hG4bKagain"), flow=TCP) == "^OPTIONS"


def test_cancel_is_answered_and_told_once() -> None:
    layer = new_layer()
    receive(layer, request_in())
    answer(layer, request_in(), 180)
    layer.receive_message(request_in("CANCEL"), UDP, now_ns=77)
    response, event = layer.drain()
    assert isinstance(response, Transmit)
    assert parse_message(response.data).to.tag == "ours"  # as in the 180 (9.2)
    assert isinstance(event, Cancelled)
    assert (event.transaction, event.arrived_ns) == (1, 77)
    assert receive(layer, request_in("CANCEL")) == "200"  # the same again: nobody hears of it
    assert answer(layer, request_in(), 487) == "487"


def test_cancel_after_the_answer_changes_nothing() -> None:
    layer = new_layer()
    receive(layer, request_in())
    answer(layer, request_in(), 200)
    assert receive(layer, request_in("CANCEL")) == "200"


def test_cancel_of_nothing() -> None:
    layer = new_layer()
    assert receive(layer, request_in("CANCEL")) == "481"


def test_the_ack_of_a_2xx_is_found_by_its_dialog() -> None:
    layer = new_layer()
    receive(layer, request_in())
    answer(layer, request_in(), 200)
    for wrong in (
        request_in("ACK", branch="z9hG4bKa", to_tag="other"),
        request_in("ACK", branch="z9hG4bKa", to_tag="ours", cseq=2),
        request_in("ACK", branch="z9hG4bKa", to_tag="ours", from_tag="other"),
        request_in("ACK", branch="z9hG4bKa", to_tag="ours", call_id="other"),
    ):
        assert receive(layer, wrong) == ""
    assert layer.counters.strays == 4
    layer.receive_message(request_in("ACK", branch="z9hG4bKa", to_tag="ours"), UDP, now_ns=9)
    (event,) = layer.drain()
    assert isinstance(event, AckReceived)
    assert (event.transaction, event.arrived_ns) == (1, 9)


def test_a_late_answer_is_counted() -> None:
    layer = new_layer()
    assert answer(layer, request_in(), 200) == ""
    assert layer.counters.strays == 1


def test_without_room_a_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "MAX_SIP_TRANSACTIONS", 1)
    layer = new_layer()
    receive(layer, request_in())
    layer.receive_message(request_in(branch="z9hG4bKb", call_id="b"), UDP, now_ns=0)
    (response,) = sent_by(layer)
    assert response.start_line == "SIP/2.0 503 Service Unavailable"
    assert response.headers.first("Retry-After") == "5"
    assert len(layer) == 1
    assert receive(layer, request_in()) == ""  # what is known goes on


def test_nothing_is_left_after_all_timers() -> None:
    layer = new_layer()
    for number in range(50):
        receive(layer, request_in(branch=f"z9hG4bK{number}", call_id=f"in{number}"))
        request = request_in(branch=f"z9hG4bK{number}", call_id=f"in{number}")
        status = (200, 404, 180)[number % 3]
        layer.send_response(TransactionId(number + 1), respond(request, status, tag="t"), now_ns=0)
    for number in range(50):
        layer.send_request(request_out(cseq=number), UDP, now_ns=0)
    for number in range(2, 50, 3):  # the ringing ones would wait for us for ever
        layer.send_response(TransactionId(number + 1), respond(request_in(), 486, tag="t"), now_ns=0)
    while (deadline := layer.next_deadline()) is not None:
        layer.handle_timer(now=deadline)
    assert len(layer) == 0
    indices = (layer._clients, layer._servers, layer._merges, layer._accepted, layer._by_id)
    assert not any(indices)
    assert len(layer._shared.agenda) == 0
