"""Whatever is lost, repeated or reordered: every call ends, and nothing of it is left."""

import gc
import random
import weakref

import pytest

from mediaproxy.calls.plane import MediaTimedOut
from mediaproxy.sip.headers import Headers
from tests.support.phone import Link, PhoneCall, Say, World, sdp
from tests.support.plans import ALICE, CARRIER, PLAN, with_plan

SCHEDULES = 60
ANSWERS = [
    *[[Say(180, after=0.2), Say(200, after=1.0)]] * 6,
    [Say(183, after=0.1), Say(180, after=0.5), Say(200, after=2.0)],
    [Say(200)],
    [Say(180), Say(486, after=1.0)],
    [Say(180)],
    [Say(503)],
    [],
    [
        Say(180, tag="one"),
        Say(180, tag="two"),
        Say(200, after=1.0, tag="one"),
        Say(200, after=1.2, tag="two"),
    ],
    [Say(200, after=0.5, body=b"nonsense")],
]


class Chaos:
    """Does something to a random call now and then."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.version = 1

    def begin(self, calls: int) -> None:
        for _ in range(calls):
            self.world.later(self.random.uniform(0, 5), self.call)

    def call(self) -> None:
        carrier, alice = self.world.phones[CARRIER], self.world.phones[ALICE]
        alice.answers = self.random.choice(ANSWERS)
        carrier.reinvite_answers = self.random.choice([[Say(200)], [Say(491)], [Say(180)], [Say(481)]])
        late = self.random.random() < 0.2
        call = carrier.invite(
            self.random.choice(["+15550100", "+15550101", "+15550102", "+1404"]), body=b"" if late else None
        )
        if late and self.random.random() < 0.8:
            call.late_answer = carrier.media
        for _ in range(self.random.randrange(6)):
            self.world.later(self.random.uniform(0, 20), lambda: self.act(call))
        self.world.later(self.random.uniform(20, 40), lambda: self.finish(call))

    def act(self, call: PhoneCall) -> None:
        calls = [call, *(each for each in self.world.phones[ALICE].calls if each.dialog is not None)]
        one = self.random.choice(calls)
        deed = self.random.choice(
            [self.cancel, self.bye, self.reinvite, self.info, self.silence, self.hang_up]
        )
        deed(one)

    def cancel(self, call: PhoneCall) -> None:
        if call.transaction is not None:
            call.cancel()

    def bye(self, call: PhoneCall) -> None:
        call.bye()

    def reinvite(self, call: PhoneCall) -> None:
        if call.dialog is not None and not call.over:
            self.version += 1
            lines = self.random.choice(["", "a=sendonly\r\n", "a=inactive\r\n"])
            body = b"" if self.random.random() < 0.2 else sdp(lines=lines, version=self.version)
            call.late_answer = call.phone.media if not body else None
            call.request("INVITE", body=body)

    def info(self, call: PhoneCall) -> None:
        if call.dialog is not None and not call.over:
            if self.random.random() < 0.3:
                call.request("INFO", headers=Headers.of(("Record", "on")))
            else:
                digit = self.random.choice("*12").encode()
                call.request("INFO", body=digit, content_type="application/dtmf")

    def silence(self, call: PhoneCall) -> None:
        for record in self.live():
            self.world.tell(MediaTimedOut(record))

    def hang_up(self, call: PhoneCall) -> None:
        for record in self.live():
            self.world.proxy.hang_up(record, now_ns=self.world.now_ns)
            self.world.settle()

    def live(self) -> list[object]:
        over = {record.id for record in self.world.ended()}
        calls = [event.call.id for event in self.world.events if type(event).__name__ == "CallStarted"]
        return [call for call in calls if call not in over][:1]

    def finish(self, call: PhoneCall) -> None:
        """A phone that hangs up for good: CANCEL and, where there is a dialog, BYE."""
        if call.final is None:
            self.cancel(call)
        call.bye()
        for other in self.world.phones[ALICE].calls:
            self.world.later(self.random.uniform(0, 3), other.bye)


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_every_call_ends_and_leaves_nothing(seed: int) -> None:
    chance = random.Random(seed)
    link = Link(
        chance.uniform(0.001, 0.2),
        jitter_s=chance.choice([0, 0.05, 0.5]),
        loss=chance.choice([0, 0.05, 0.3, 0.6]),
        duplicate=chance.choice([0, 0.1, 0.5]),
    )
    world = World(with_plan(ring_timeout_s=30.0, max_calls=chance.choice([0, 0, 2])), link=link, seed=seed)
    world.row_delay_s = chance.choice([0.001, 0.3, None])
    world.plane_delay_s = chance.choice([0.0, 0.05, 0.5])
    world.phone("carrier", CARRIER)
    world.phone("alice", ALICE)
    Chaos(world, seed).begin(calls=4)
    world.run(60)
    world.link = Link()  # what comes after is about what we do by ourselves
    for record in [event.call.id for event in world.events if type(event).__name__ == "CallAnswered"]:
        world.tell(MediaTimedOut(record))
    world.run(150)
    world.assert_settled()
    assert_nothing_waits(world)


def assert_nothing_waits(world: World) -> None:
    context = world.proxy._context
    assert world.proxy.next_deadline() is None
    assert context.owners == {}
    assert context.dialogs == {}
    assert len(context.schedule) == 0
    assert len(context.forks) == 0
    assert len(context.layer) == 0


def test_a_call_that_is_over_needs_no_garbage_collector() -> None:
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    call = carrier.invite("+15550100")
    world.run(3)
    left = weakref.ref(next(iter(world.proxy._calls.values())))
    alice.calls[0].request("INVITE", body=sdp("127.0.0.3", 6080, version=2))
    call.request("INFO", body=b"x", content_type="text/plain")
    world.run(1)
    gc.disable()
    try:
        call.bye()
        world.run(60)
        assert left() is None
    finally:
        gc.enable()


def test_a_call_that_breaks_ends_alone() -> None:
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    first, second = carrier.invite("+15550100"), carrier.invite("+15550100")
    world.run(3)
    broken: list[object] = []
    perform = world._perform
    world._perform = lambda output: (  # the world itself fails on a broken call
        broken.append(output) if type(output).__name__ == "CallBroken" else perform(output)
    )
    call = next(iter(world.proxy._calls.values()))
    call.media = None  # an impossible state: the next re-INVITE trips over it
    first.request("INVITE", body=carrier.media)
    world.run(2)
    assert len(broken) == 1
    assert world.proxy.counters.broken == 1
    assert [request.method for request in first.requests] == ["BYE"]
    assert world.last.disposition == "failed"
    second.bye()
    world.run(60)
    assert second.statuses[-1] == 200
    assert len(alice.calls) == 2
    world.assert_settled()


def test_what_no_parser_would_let_through_breaks_no_call() -> None:
    """Odd but legal: no tags, no Max-Forwards, no Contact in answers, foreign URIs."""
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    call = carrier.invite("+15550100")
    assert call.invite is not None
    bare = call.invite.replace(
        headers=call.invite.headers.without("max-forwards").with_("From", "<urn:service:sos>")
    )
    phone_call = carrier.calls[0]
    carrier.send(phone_call, bare.replace(headers=bare.headers.with_("Call-ID", "other")), carrier.flow)
    world.run(3)
    assert len(alice.calls) == 2
    odd = alice.calls[1].requests[0]
    assert str(odd.from_.uri) == "sip:pbx.example"
    assert odd.max_forwards == 70
