"""Any order of messages, answers, failures and time: nothing raises, waits for ever, or stays."""

import random

import pytest

from mediaproxy.sip.machines import State
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import RequestReceived, ResponseReceived, TransactionId, Transmit
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import respond
from tests.support.sip_build import TCP, UDP, new_layer, ns, request_in, request_out

STATUSES = (100, 180, 183, 200, 202, 302, 404, 486, 487, 503, 603)
TAGS = ("", "ours", "other")


class Chaos:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.layer = new_layer()
        self.now = 0.0
        self.sent: list[Request] = []
        self.received: dict[TransactionId, Request] = {}
        self.twice: set[tuple[int, str | None]] = set()

    def step(self) -> None:
        often = (self.request, self.response, self.answer)
        seldom = (self.send, self.acknowledge, self.cancel, self.fail, self.wait)
        self.random.choice((*often, *often, *seldom))()
        self.take()

    def take(self) -> None:
        for output in self.layer.drain():
            match output:
                case Transmit():
                    message = parse_message(output.data)
                    if isinstance(message, Request) and message.method != "ACK":
                        self.sent.append(message)
                case RequestReceived():
                    assert output.transaction not in self.received
                    self.received[output.transaction] = output.request
                case ResponseReceived() if output.response.cseq.method == "INVITE":
                    self.told_once(output.transaction, output.response)

    def told_once(self, transaction: TransactionId, response: Response) -> None:
        if 200 <= response.status < 300:
            key = (transaction, response.to.tag)
            assert key not in self.twice
            self.twice.add(key)

    def any_id(self) -> TransactionId:
        return TransactionId(self.random.randint(1, self.layer._last_id + 1))

    def request(self) -> None:
        request = request_in(
            self.random.choice(("INVITE", "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS")),
            branch=self.random.choice(("", "z9hG4bK", "z9hG4bKa", "z9hG4bKb", "z9hG4bKc")),
            cseq=self.random.randint(1, 2),
            to_tag=self.random.choice(TAGS),
            call_id=self.random.choice("xy"),
        )
        self.layer.receive_message(request, self.random.choice((UDP, TCP)), now_ns=ns(self.now))

    def response(self) -> None:
        if self.sent:
            response = respond(
                self.random.choice(self.sent[-4:]), self.random.choice(STATUSES), tag=self.random.choice("tu")
            )
            self.layer.receive_message(response, UDP, now_ns=ns(self.now))

    def answer(self) -> None:
        if self.received:
            ident = self.random.choice(list(self.received))
            response = respond(self.received[ident], self.random.choice(STATUSES), tag="ours")
            self.layer.send_response(ident, response, now_ns=ns(self.now))

    def send(self) -> None:
        request = request_out(self.random.choice(("INVITE", "BYE")))
        self.layer.send_request(request, self.random.choice((UDP, TCP)), now_ns=ns(self.now))

    def acknowledge(self) -> None:
        ack = request_out("ACK", to_tag=self.random.choice("tu"))
        self.layer.send_ack(self.any_id(), ack, UDP, now_ns=ns(self.now))

    def cancel(self) -> None:
        self.layer.cancel(self.any_id(), now_ns=ns(self.now))

    def fail(self) -> None:
        self.layer.transport_failed(self.any_id(), now_ns=ns(self.now))

    def wait(self) -> None:
        self.now += self.random.choice((0.1, 0.5, 5.0, 40.0))
        while (deadline := self.layer.next_deadline()) is not None and deadline <= self.now:
            self.layer.handle_timer(now=deadline)
            self.take()

    def every_state_can_end(self) -> None:
        """A timer runs, or it is ringing: then the far end, or we, must decide."""
        for transaction in self.layer._by_id.values():
            ringing = transaction.state is State.PROCEEDING and transaction.request.method == "INVITE"
            assert transaction.deadlines or ringing

    def finish(self) -> None:
        for ident, transaction in list(self.layer._by_id.items()):
            if transaction.state is not State.PROCEEDING or transaction.request.method != "INVITE":
                continue
            if ident in self.received:
                refusal = respond(transaction.request, 500, tag="ours")
                self.layer.send_response(ident, refusal, now_ns=ns(self.now))
            else:
                self.layer.cancel(ident, now_ns=ns(self.now))
        self.take()
        self.now += 1000
        self.wait()
        indices = ("_by_id", "_clients", "_servers", "_merges", "_accepted")
        assert [name for name in indices if getattr(self.layer, name)] == []


@pytest.mark.parametrize("block", range(10))
def test_any_order(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        chaos = Chaos(seed)
        for _ in range(40):
            chaos.step()
            chaos.every_state_can_end()
        chaos.finish()
