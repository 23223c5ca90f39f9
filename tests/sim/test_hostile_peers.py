"""Phones whose messages were broken on purpose: answered or dropped, never an error of ours."""

import random

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.parser import parse_message
from tests.support.phone import Say, World, sdp
from tests.support.plans import ALICE, CARRIER, PLAN

SEEDS = 40
WORDS = [
    *(b"", b"0", b"-1", b"99999999999", b"\xff", b";", b"<", b'"', b"sip:", b"tel:1", b"*", b",", b"\t"),
    *(b"INVITE", b"ACK", b"200", b"SIP/2.0", b"Require: 100rel", b"a=rtpmap:", b"m=audio", b"IN IP6"),
]


class Hostile(World):
    """Each message of a phone may lose, gain or exchange lines, words and bytes."""

    def __init__(self, seed: int) -> None:
        super().__init__(PLAN, seed=seed)
        self.chance = random.Random(seed)
        self.dropped = 0
        self.broken = 0

    def deliver(self, data: bytes, flow: Flow) -> None:
        if self.chance.random() < 0.4:
            data = self.spoil(data)
            self.broken += 1
        try:
            parse_message(data)
        except Malformed:
            self.dropped += 1
            return
        super().deliver(data, flow)

    def spoil(self, data: bytes) -> bytes:
        head, _, body = data.partition(b"\r\n\r\n")
        if body and self.chance.random() < 0.5:
            body = self.spoil_lines(body)
            length = b"\r\nContent-Length: %d" % len(body)
            head = b"\r\n".join(
                line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")
            )
            return head + length + b"\r\n\r\n" + body
        return self.spoil_lines(head) + b"\r\n\r\n" + body

    def spoil_lines(self, text: bytes) -> bytes:
        lines = text.split(b"\r\n")
        at = self.chance.randrange(len(lines))
        match self.chance.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, self.chance.choice(lines))
            case 2:
                lines[at] = self.spoil_words(lines[at])
            case 3:
                self.chance.shuffle(lines)
            case _:
                lines[at] = self.spoil_bytes(lines[at])
        return b"\r\n".join(lines)

    def spoil_words(self, line: bytes) -> bytes:
        words = line.split(b" ")
        words[self.chance.randrange(len(words))] = self.chance.choice(WORDS)
        return b" ".join(words)

    def spoil_bytes(self, line: bytes) -> bytes:
        at = self.chance.randrange(len(line) + 1)
        return line[:at] + self.chance.choice(WORDS) + line[at + self.chance.randrange(3) :]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_broken_messages_break_nothing(seed: int) -> None:
    world = Hostile(seed)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    alice.answers = [Say(180, after=0.2), Say(200, after=0.5)]
    for number in range(6):
        late = number % 3 == 2
        call = carrier.invite("+15550100", body=b"" if late else None)
        call.late_answer = carrier.media if late else None
        world.run(2)
        if call.dialog is not None:
            call.request("INVITE", body=sdp("127.0.0.2", 6100, lines="a=sendonly\r\n", version=2))
            call.request("INFO", body=b"Signal=1", content_type="application/dtmf-relay")
        for other in alice.calls:
            if other.dialog is not None and not other.over:
                other.request("INFO", body=b"*", content_type="application/dtmf")
        world.run(2)
        call.bye()
    for other in alice.calls:
        other.bye()
    world.run(40)
    for record in [event.call.id for event in world.events if type(event).__name__ == "CallStarted"]:
        world.proxy.hang_up(record, now_ns=world.now_ns)
        world.settle()
    world.run(200)
    assert world.broken > 5
    assert world.proxy.counters.broken == 0
    world.assert_settled()
