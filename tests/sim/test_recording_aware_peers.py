"""RFC 7866: peers that want to know are told that they are recorded; what they prefer is heard."""

import pytest

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Connect, Describe
from mediaproxy.sip.messages import Request
from tests.support.phone import PhoneCall, Say, World, sdp
from tests.support.plans import ALICE, CARRIER, PLAN, with_plan

AWARE = (("Supported", "record-aware"),)
AUTOMATIC = with_plan(recording=RecordingPolicy(Policy.AUTOMATIC))


def a_call(
    world: World, *, caller: bool = False, callee: bool = False, lines: str = "", answer: str = ""
) -> tuple[PhoneCall, PhoneCall]:
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    body = sdp("127.0.0.3", 6080, lines=answer)
    alice.answers = [Say(200, 0.1, body=body, headers=AWARE if callee else ())]
    call = carrier.invite(
        "+15550100", headers=AWARE if caller else (), body=sdp("127.0.0.2", 6070, lines=lines)
    )
    world.run(2)
    assert call.final == 200
    return call, alice.calls[0]


def told(message: Request | object) -> list[str]:
    body: bytes = message.body  # type: ignore[attr-defined]  # a request or a response
    return [
        line.removeprefix("a=record:") for line in body.decode().splitlines() if line.startswith("a=record:")
    ]


def indicate(world: World, word: str) -> None:
    [record] = {event.call.id for event in world.events if hasattr(event, "call")}
    world.proxy.indicate(record, word, now_ns=world.now_ns)
    world.settle()
    world.run(2)


def invites(call: PhoneCall) -> list[Request]:
    return [request for request in call.requests if request.method == "INVITE"]


def test_who_did_not_ask_is_told_nothing() -> None:
    world = World(PLAN)
    call, other = a_call(world)
    indicate(world, "on")
    assert (len(invites(call)), len(invites(other))) == (0, 1)
    assert told(call.response(200)) == told(invites(other)[0]) == []
    assert b"a=record" not in b"".join(data for _, data in world.wire)


@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_each_change_reaches_who_asked_and_nobody_else(leg: str) -> None:
    world = World(PLAN)
    call, other = a_call(world, caller=leg == "caller", callee=leg == "callee")
    aware, unaware = (call, other) if leg == "caller" else (other, call)
    before = len(invites(aware)), len(invites(unaware))
    operations = len(world.operations(Connect)), len(world.operations(Describe))
    for word in ("on", "on", "paused", "on", "off"):
        indicate(world, word)
    assert [told(request) for request in invites(aware)[before[0] :]] == [["on"], ["paused"], ["on"], ["off"]]
    assert len(invites(unaware)) == before[1]
    assert len(aware.acks) == 4 + (leg == "callee")
    assert (len(world.operations(Connect)), len(world.operations(Describe))) == operations
    bodies = [request.body for request in invites(aware)[-2:]]
    lines = [set(body.decode().splitlines()) for body in bodies]
    assert {line[:9] for line in lines[0] ^ lines[1]} == {
        "o=- " + line[4:9] for line in lines[0] if line[:2] == "o="
    } | {"a=record:"}
    call.bye()
    world.run(40)
    world.assert_settled()


def test_an_automatic_recording_is_told_with_the_answer() -> None:
    world = World(AUTOMATIC)
    call, other = a_call(world, caller=True, callee=True)
    assert told(call.response(200)) == ["on"]
    assert [told(request) for request in invites(other)] == [
        [],
        ["on"],
    ]  # its first offer came before it said so


def test_with_consent_required_it_is_not_on_yet() -> None:
    world = World(with_plan(recording=RecordingPolicy(Policy.AUTOMATIC, consent_required=True)))
    call, _ = a_call(world, caller=True)
    assert told(call.response(200)) == ["off"]


def test_both_ends_ask_at_once() -> None:
    """491, and once more after a while."""
    world = World(PLAN)
    call, _ = a_call(world, caller=True)
    world.phones[CARRIER].reinvite_answers = [Say(491)]
    indicate(world, "on")
    assert len(invites(call)) == 1
    world.phones[CARRIER].reinvite_answers = [Say(200)]
    world.run(6)
    assert [told(request) for request in invites(call)] == [["on"], ["on"]]
    world.run(40)
    assert len(invites(call)) == 2


def test_our_question_is_over_before_theirs_is_taken() -> None:
    world = World(PLAN)
    call, other = a_call(world, caller=True)
    world.phones[CARRIER].reinvite_answers = [Say(200, 1.0)]
    [record] = {event.call.id for event in world.events if hasattr(event, "call")}
    world.proxy.indicate(record, "on", now_ns=world.now_ns)
    world.settle()
    world.run(0.2)
    other.request("INVITE", body=sdp("127.0.0.3", 6080, version=2))
    world.run(0.2)
    assert other.statuses == [491]
    world.run(3)
    other.request("INVITE", body=sdp("127.0.0.3", 6080, lines="a=sendonly\r\n", version=3))
    world.run(3)
    assert [status for status in other.statuses if status >= 200] == [491, 200]
    assert told(invites(call)[-1]) == ["on"]


def test_a_change_meanwhile_is_told_afterwards() -> None:
    world = World(PLAN)
    call, other = a_call(world, caller=True)
    world.phones[ALICE].reinvite_answers = [Say(200, 1.0)]
    call.request("INVITE", body=sdp("127.0.0.2", 6070, version=2))
    world.run(0.3)
    [record] = {event.call.id for event in world.events if hasattr(event, "call")}
    world.proxy.indicate(record, "on", now_ns=world.now_ns)
    world.settle()
    world.run(3)
    assert told(call.responses[-1]) == ["on"]  # its own re-INVITE's answer says so
    assert len(invites(call)) == 0
    assert len(invites(other)) == 2


@pytest.mark.parametrize("status", [488, 603])
def test_who_refuses_is_told_no_more_and_the_call_goes_on(status: int) -> None:
    world = World(PLAN)
    call, _ = a_call(world, caller=True)
    world.phones[CARRIER].reinvite_answers = [Say(status)]
    indicate(world, "on")
    indicate(world, "off")
    assert len(invites(call)) == 1
    assert not call.over


def test_the_end_of_the_call_meanwhile() -> None:
    world = World(PLAN)
    _, other = a_call(world, caller=True)
    world.phones[CARRIER].reinvite_answers = [Say(200, 1.0)]
    [record] = {event.call.id for event in world.events if hasattr(event, "call")}
    world.proxy.indicate(record, "on", now_ns=world.now_ns)
    world.settle()
    world.run(0.2)
    other.bye()
    world.run(80)
    world.assert_settled()


@pytest.mark.parametrize(
    ("by", "preference", "actions"),
    [
        ("carrier", "off", ["stop"]),
        ("carrier", "pause", ["pause"]),
        ("carrier", "on", []),
        ("carrier", "nopreference", []),
        ("agent", "on", ["start"]),
        ("agent", "off", ["stop"]),
    ],
)  # fmt: skip
def test_preferences_at_the_beginning(by: str, preference: str, actions: list[str]) -> None:
    """Ours may open and close; of the carrier's only closing is obeyed."""
    world = World(PLAN)
    line = f"a=recordpref:{preference}\r\n"
    a_call(world, lines=line if by == "carrier" else "", answer=line if by == "agent" else "")
    assert [demand.action for demand in world.demands] == actions


def test_a_preference_counts_when_it_changes() -> None:
    world = World(PLAN)
    call, other = a_call(world)
    for version, preference in enumerate(("off", "off", "on", "off"), 2):
        line = f"a=recordpref:{preference}\r\n"
        call.request("INVITE", body=sdp("127.0.0.2", 6070, lines=line, version=version))
        world.run(2)
    assert [demand.action for demand in world.demands] == ["stop", "stop"]
    other.request("INVITE", body=sdp("127.0.0.3", 6080, lines="a=recordpref:on\r\n", version=2))
    world.run(2)
    assert [(demand.action, demand.means, demand.reply) for demand in world.demands][-1] == (
        "start",
        "sip",
        None,
    )
