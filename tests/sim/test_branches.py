"""An agent with several telephones: all ring, one answers, the others are told so."""

from collections.abc import Callable

import pytest

from mediaproxy.calls.branches import ELSEWHERE
from mediaproxy.calls.plane import Connect, LegId, MediaLost
from mediaproxy.ids import CallId
from mediaproxy.net import Endpoint
from mediaproxy.sip.messages import Request
from tests.support.phone import Link, Phone, PhoneCall, Say, World
from tests.support.plans import CARRIER
from tests.support.registering import REGISTERING, Device

TO_ERIN = "+15550200"
PLACES = [Endpoint("127.0.0.30", 41_000 + number) for number in range(3)]
RINGS = [Say(180, after=0.2)]


def with_telephones(world: World, *qs: str) -> list[Phone]:
    """One for each q, registered in this order."""
    phones = []
    for place, q in zip(PLACES, qs, strict=False):
        phones.append(world.phone("erin", place))
        device = Device(world, "erin", place)
        assert device.register(f"Contact: <sip:erin@{place}>;q={q}", contact=None).status == 200
    world.wire.clear()
    return phones


def call_erin(world: World) -> PhoneCall:
    return world.phone("carrier", CARRIER).invite(TO_ERIN)


def cancels(world: World) -> dict[Endpoint, str | None]:
    """Where a CANCEL went, and its reason."""
    found = {}
    for flow, data in world.wire:
        if data.startswith(b"CANCEL"):
            reasons = [line[8:] for line in data.decode().split("\r\n") if line.startswith("Reason: ")]
            found[flow.remote] = reasons[0] if reasons else None
    return found


def ident(world: World) -> CallId:
    return world.events[-1].call.id  # type: ignore[attr-defined]  # CallRinging or CallStarted


def media_of_callee(world: World) -> list[int]:
    """The ports that the plane was told to send to, in order."""
    connects = [one for one in world.operations(Connect) if isinstance(one, Connect)]
    return [one.remote.rtp.port for one in connects if one.leg is LegId.B]


def test_the_first_that_answers_has_the_call_and_the_others_stop_ringing() -> None:
    world = World(REGISTERING)
    slow, quick, mute = with_telephones(world, "1", "1", "1")
    slow.answers = [Say(180, after=0.1), Say(200, after=3.0)]
    quick.answers = [Say(180, after=0.2), Say(200, after=1.0)]
    mute.answers = RINGS
    call = call_erin(world)
    world.run(5)
    assert call.final == 200
    assert cancels(world) == {slow.at: ELSEWHERE, mute.at: ELSEWHERE}
    assert len({response.to.tag for response in call.responses if response.status == 180}) == 3
    assert [len(phone.calls[0].acks) for phone in (slow, quick, mute)] == [0, 1, 0]
    quick.calls[0].bye()
    world.run(40)
    assert (world.last.disposition, world.last.agent, world.last.ended_by) == ("answered", "erin", "callee")
    assert call.over
    world.assert_settled()


def test_every_branch_is_offered_the_same() -> None:
    world = World(REGISTERING)
    phones = with_telephones(world, "1", "1", "0.5")
    for phone in phones[:2]:
        phone.answers = [Say(486, after=0.5)]
    call_erin(world)
    world.run(3)
    invites = [phone.calls[0].requests[0] for phone in phones]
    assert len({invite.body for invite in invites}) == 1
    assert len({(invite.call_id, invite.from_.tag, invite.cseq) for invite in invites}) == 1
    assert len({invite.uri for invite in invites}) == 3


def test_a_second_answer_that_crosses_is_acknowledged_and_ended() -> None:
    world = World(REGISTERING)
    phones = with_telephones(world, "1", "1")
    for phone in phones:
        phone.answers = [Say(180, after=0.1), Say(200, after=1.0)]
    call = call_erin(world)
    world.run(4)
    winner, loser = (phone.calls[0] for phone in phones[::-1])  # the latest is asked first
    assert [request.method for request in loser.requests] == ["INVITE", "BYE"]
    assert (len(loser.acks), len(winner.acks), winner.over) == (1, 1, False)
    assert call.statuses.count(200) == 1
    call.bye()
    world.run(40)
    assert winner.over
    world.assert_settled()


def test_an_answer_that_crosses_the_end_of_the_call_is_ended_too() -> None:
    world = World(REGISTERING)
    phones = with_telephones(world, "1", "1")
    for phone in phones:
        phone.answers = [Say(180, after=0.1), Say(200, after=1.0)]
    call = call_erin(world)
    world.later(1.015, call.cancel)
    world.run(40)
    assert call.final == 487
    for phone in phones:
        assert [request.method for request in phone.calls[0].requests] == ["INVITE", "BYE"]
        assert len(phone.calls[0].acks) == 1
    world.assert_settled()


@pytest.mark.parametrize(
    ("statuses", "told", "disposition"),
    [
        ((503, 486), 486, "busy"),
        ((486, 603), 603, "rejected"),
        ((486, 302), 302, "failed"),
        ((486, 401), 403, "rejected"),  # a challenge was for us
        ((500, 503), 500, "failed"),
        ((482, 486), 486, "busy"),
    ],
)
def test_of_several_refusals_the_best_is_passed(
    statuses: tuple[int, int], told: int, disposition: str
) -> None:
    for order in (statuses, statuses[::-1]):
        world = World(REGISTERING)
        phones = with_telephones(world, "1", "1")
        for number, (phone, status) in enumerate(zip(phones, order, strict=True)):
            phone.answers = [Say(status, after=0.5 + number)]
        call = call_erin(world)
        world.run(1.3)
        assert call.final is None or told == 603
        world.run(40)
        assert (call.final, world.last.disposition) == (told, disposition)
        world.assert_settled()


def test_lower_ones_ring_after_the_higher_ones_failed() -> None:
    world = World(REGISTERING)
    first, second, last = with_telephones(world, "0.9", "0.9", "0.1")
    first.answers, second.answers = [Say(486, after=0.5)], [Say(480, after=1.0)]
    call = call_erin(world)
    world.run(0.9)
    assert [len(phone.calls) for phone in (first, second, last)] == [1, 1, 0]
    world.run(3)
    assert (len(last.calls), call.final) == (1, 200)
    call.bye()
    world.run(40)
    world.assert_settled()


def test_who_declines_for_all_telephones_ends_the_ringing() -> None:
    world = World(REGISTERING)
    first, second, last = with_telephones(world, "0.9", "0.9", "0.1")
    first.answers, second.answers = [Say(603, after=0.5)], RINGS
    call = call_erin(world)
    world.run(40)
    assert (call.final, world.last.disposition) == (603, "rejected")
    assert cancels(world) == {second.at: None}
    assert last.calls == []
    world.assert_settled()


def _bye_early(world: World, call: PhoneCall) -> None:
    ringing = call.response(180)
    assert call.invite is not None
    assert call.flow is not None
    lines = call.invite.headers.only("from", "call-id", "max-forwards") + ringing.headers.only("to")
    bye = Request("BYE", call.invite.uri, lines.appended("CSeq", "2 BYE"))
    call.phone.send(call, bye, call.flow)


ENDS: dict[str, tuple[Callable[[World, PhoneCall], None], int, str]] = {
    "cancelled": (lambda world, call: call.cancel(), 487, "cancelled"),
    "bye": (_bye_early, 487, "cancelled"),
    "ring timeout": (lambda world, call: world.run(REGISTERING.ring_timeout_s), 480, "no_answer"),
    "media lost": (lambda world, call: world.tell(MediaLost(ident(world))), 503, "interrupted"),
    "hung up": (
        lambda world, call: world.proxy.hang_up(ident(world), now_ns=world.now_ns),
        480,
        "cancelled",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_call_that_ends_early_rings_nowhere_any_more(end: str) -> None:
    world = World(REGISTERING)
    phones = with_telephones(world, "1", "1", "0.5")
    for phone in phones:
        phone.answers = RINGS
    call = call_erin(world)
    world.run(1)
    act, told, disposition = ENDS[end]
    act(world, call)
    world.settle()
    world.run(40)
    finals = [one.status for one in call.responses if one.cseq.method == "INVITE" and one.status >= 200]
    assert (finals, world.last.disposition) == ([told], disposition)
    assert cancels(world) == {phones[0].at: None, phones[1].at: None}
    assert phones[2].calls == []
    world.assert_settled()


@pytest.mark.parametrize("winner", [0, 1])
@pytest.mark.parametrize("said", [None, b""])
def test_an_early_answer_of_another_branch_does_not_take_the_media(winner: int, said: bytes | None) -> None:
    """Also where the 2xx has no SDP, for its branch's 183 had it."""
    world = World(REGISTERING)
    phones = with_telephones(world, "1", "1")
    for number, phone in enumerate(phones):
        phone.answers = [Say(183, after=0.2 + 0.2 * number)]
    phones[winner].answers.append(Say(200, after=1.0, body=said))
    call = call_erin(world)
    world.run(3)
    ports = [6000 + phone.at.port % 1000 for phone in phones]
    assert media_of_callee(world)[:2] == ports
    assert media_of_callee(world)[-1] == ports[winner]
    early = [response for response in call.responses if response.status == 183]
    assert len({response.to.tag for response in early}) == 2
    assert all(response.body for response in early)
    answered = call.response(200)
    assert answered.to.tag == early[winner].to.tag
    assert b"m=audio 20000" in answered.body
    call.bye()
    world.run(40)
    world.assert_settled()


def test_a_telephone_that_is_gone_holds_nobody_up() -> None:
    world = World(REGISTERING)
    gone, there = with_telephones(world, "1", "1")
    gone.silent = True
    call = call_erin(world)
    world.run(2)
    assert call.final == 200
    call.bye()
    world.run(40)
    assert cancels(world) == {}  # no provisional response allowed one (9.1)
    assert there.calls[0].over
    world.assert_settled()


def test_an_unusable_answer_ends_the_ringing_elsewhere() -> None:
    world = World(REGISTERING)
    broken, other = with_telephones(world, "1", "1")
    broken.answers, other.answers = [Say(200, after=0.5, body=b"")], RINGS
    call = call_erin(world)
    world.run(40)
    assert (call.final, cancels(world), broken.calls[0].over) == (488, {other.at: None}, True)
    world.assert_settled()


def test_one_device_rings_over_one_of_its_flows() -> None:
    world = World(REGISTERING)
    phones = [world.phone("erin", place) for place in PLACES[:2]]
    for number, place in enumerate(PLACES[:2]):
        device = Device(world, "erin", place)
        line = f'Contact: <sip:erin@{place}>;+sip.instance="<urn:uuid:1>";reg-id={number + 1}'
        assert device.register(line, contact=None).status == 200
    call_erin(world)
    world.run(2)
    assert [len(phone.calls) for phone in phones] == [0, 1]


@pytest.mark.parametrize("seed", range(25))
def test_on_any_network_nothing_is_left_ringing_or_talking(seed: int) -> None:
    world = World(REGISTERING, link=Link(latency_s=0.02, jitter_s=0.3, loss=0.15, duplicate=0.1), seed=seed)
    phones = with_telephones(world, "1", "1", "0.5")
    for phone in phones:
        after = world.random.choice([0.5, 1.0, 1.05, 2.0])
        status = world.random.choice([200, 200, 486, 603])
        phone.answers = [Say(180, after=0.1), Say(status, after=after)]
    call = call_erin(world)
    if seed % 3 == 0:
        world.later(world.random.uniform(0.5, 2.5), call.cancel)
    world.run(20)
    call.bye()
    world.run(120)
    world.assert_settled()
    for phone in phones:
        for heard in phone.calls:
            assert heard.over or not heard.acks
