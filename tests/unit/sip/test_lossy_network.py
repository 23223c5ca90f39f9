"""Two layers across a network that loses, doubles and reorders: every call still ends as it must."""

from dataclasses import dataclass, field

import pytest

from mediaproxy.net import Endpoint
from mediaproxy.sip.dialog import Dialog
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
    TransactionId,
    Transmit,
)
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import respond
from mediaproxy.sip.transactions import TransactionLayer
from tests.support.netsim import Link, NetSim
from tests.support.sip_build import HERE, THERE, ns, numbered_bytes, request_out

NAMES = {HERE: "caller", THERE: "callee"}
LINKS = {
    "clean": Link(),
    "loses a third": Link(loss=0.33),
    "doubles": Link(duplicate=0.5, jitter=0.3),
    "reorders": Link(jitter=1.5),
    "everything": Link(loss=0.2, duplicate=0.2, jitter=0.6),
}


@dataclass
class Phone:
    """A transaction user of the least kind: it answers, hangs up, and keeps what it was told."""

    endpoint: Endpoint
    peer: Endpoint
    status: int = 200
    ring_s: float = 0.0
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layer = TransactionLayer(random_bytes=numbered_bytes())
        self.flow = Flow("udp", self.endpoint, self.peer)
        self.invite: tuple[TransactionId, Request, float] | None = None
        self.dialog: Dialog | None = None

    def call(self) -> None:
        self.request = request_out()
        self.layer.send_request(self.request, self.flow, now_ns=0)

    def handle(self, output: Output, now: float) -> None:
        now_ns = ns(now)
        match output:
            case RequestReceived(transaction, request):
                self.told.append(request.method)
                if request.method == "INVITE":
                    self.invite = (transaction, request, now + self.ring_s)
                    self.layer.send_response(transaction, respond(request, 180, tag="callee"), now_ns=now_ns)
                else:
                    self.layer.send_response(transaction, respond(request, 200), now_ns=now_ns)
            case ResponseReceived(transaction, response):
                self.told.append(str(response.status))
                if response.cseq.method == "INVITE" and 200 <= response.status < 300:
                    self.dialog = Dialog.uac(self.request, response)
                    self.layer.send_ack(transaction, self.dialog.ack(1), self.flow, now_ns=now_ns)
                    self.layer.send_request(self.dialog.request("BYE"), self.flow, now_ns=now_ns)
            case Cancelled(transaction):
                self.told.append("cancelled")
                self.answer(487, now)
            case AckReceived():
                self.told.append("ACK")
            case AckMissing():
                self.told.append("no ACK")
            case TimedOut():
                self.told.append("timed out")

    def answer(self, status: int, now: float) -> None:
        assert self.invite is not None
        transaction, request, _ = self.invite
        self.invite = None
        contact = Headers.of(("Contact", "<sip:there@192.0.2.2>"))
        response = respond(request, status, tag="callee", headers=contact)
        self.layer.send_response(transaction, response, now_ns=ns(now))

    def tick(self, now: float) -> None:
        self.layer.handle_timer(now=now)
        if self.invite is not None and now >= self.invite[2]:
            self.answer(self.status, now)

    def next_deadline(self) -> float:
        answer_at = self.invite[2] if self.invite else float("inf")
        return min(self.layer.next_deadline() or float("inf"), answer_at)


@dataclass
class World:
    link: Link
    seed: int
    status: int = 200
    ring_s: float = 0.0
    cancel_at: float = float("inf")

    def run(self) -> tuple[Phone, Phone]:
        caller, callee = Phone(HERE, THERE), Phone(THERE, HERE, self.status, self.ring_s)
        phones = {"caller": caller, "callee": callee}
        net: NetSim[bytes] = NetSim(self.link, self.seed)
        caller.call()
        now = 0.0
        while now < 600:
            self.perform(phones, net, now)
            now = min(
                net.next_deadline() or float("inf"),
                self.cancel_at,
                *(p.next_deadline() for p in phones.values()),
            )
            if now == float("inf"):
                break
            if now >= self.cancel_at:
                self.cancel_at = float("inf")
                caller.layer.cancel(TransactionId(1), now_ns=ns(now))
            for to, data in net.pop_due(now):
                phone = phones[to]
                phone.layer.receive_message(parse_message(data), phone.flow, now_ns=ns(now))
                self.perform(phones, net, now)
            for phone in phones.values():
                phone.tick(now)
        assert len(caller.layer) == len(callee.layer) == 0
        return caller, callee

    def perform(self, phones: dict[str, Phone], net: NetSim[bytes], now: float) -> None:
        for phone in phones.values():
            while outputs := phone.layer.drain():
                for output in outputs:
                    if isinstance(output, Transmit):
                        net.send(NAMES[output.flow.remote], output.data, now=now)
                    else:
                        phone.handle(output, now)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("link", LINKS)
def test_an_answered_call_is_told_once_at_each_end(link: str, seed: int) -> None:
    caller, callee = World(LINKS[link], seed, ring_s=3.0).run()
    assert [word for word in caller.told if word != "180"] == ["200", "200"]  # of INVITE and BYE
    # A BYE may overtake the ACK; nothing is ever told twice.
    assert sorted(callee.told) == ["ACK", "BYE", "INVITE"]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("link", LINKS)
def test_a_refused_call_is_told_once(link: str, seed: int) -> None:
    caller, callee = World(LINKS[link], seed, status=486).run()
    assert [word for word in caller.told if word != "180"] == ["486"]
    assert callee.told == ["INVITE"]
    assert callee.layer.counters.unacknowledged == 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("link", LINKS)
def test_a_cancelled_call_ends_by_487_or_crosses_the_answer(link: str, seed: int) -> None:
    caller, callee = World(LINKS[link], seed, ring_s=2.0, cancel_at=1.9).run()
    final = next(word for word in caller.told if word != "180")
    if "cancelled" in callee.told:
        assert final == "487"
        assert callee.told == ["INVITE", "cancelled"]
    else:
        assert final == "200"


def test_a_network_that_loses_all_times_out() -> None:
    caller, callee = World(Link(loss=1.0), 1).run()
    assert (caller.told, callee.told) == (["timed out"], [])


def test_a_lost_ack_is_repeated_with_the_2xx() -> None:
    # INVITE, 180, 200 pass; the first ACK and the BYE with it are lost.
    pattern = (False, False, False, True, True) + (False,) * 95
    caller, callee = World(Link(drop_pattern=pattern), 1).run()
    assert sorted(callee.told) == ["ACK", "BYE", "INVITE"]
    assert caller.layer.counters.repeats >= 2
