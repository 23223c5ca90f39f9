"""Two synthetic telephones, wired to each other without a network."""

import random
from collections.abc import Iterator

import pytest

from mediaproxy.loadtest.phone import Changed, Invited, Over, Phone, Ringing, Talking, description
from mediaproxy.net import Endpoint
from mediaproxy.sdp.audio import Direction
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.outputs import Transmit
from mediaproxy.sip.parser import parse_message

HERE, THERE = Endpoint("127.0.0.2", 5060), Endpoint("127.0.0.3", 5060)
HERE_MEDIA, THERE_MEDIA = Endpoint("127.0.0.2", 4000), Endpoint("127.0.0.3", 6000)


class Pair:
    """`heard` is what the phones said to their owners, as (name, event)."""

    def __init__(self) -> None:
        source = random.Random(1)
        self.now_ns = 0
        self.phones = {
            HERE: Phone("here", random=source.randbytes),
            THERE: Phone("there", random=source.randbytes),
        }
        self.heard: list[tuple[Endpoint, object]] = []

    @property
    def here(self) -> Phone:
        return self.phones[HERE]

    @property
    def there(self) -> Phone:
        return self.phones[THERE]

    def invite(self) -> int:
        call = self.here.invite("there", Flow("udp", HERE, THERE), media=HERE_MEDIA, now_ns=self.now_ns)
        self.settle()
        return call

    def settle(self) -> None:
        while any(self._pass_on(at, phone) for at, phone in self.phones.items()):
            pass

    def events(self) -> Iterator[tuple[Endpoint, object]]:
        while self.heard:
            yield self.heard.pop(0)

    def _pass_on(self, at: Endpoint, phone: Phone) -> bool:
        outputs = phone.drain()
        for output in outputs:
            if isinstance(output, Transmit):
                to = output.flow.remote
                message = parse_message(output.data)
                self.phones[to].receive_message(message, Flow("udp", to, at), now_ns=self.now_ns)
            else:
                self.heard.append((at, output))
        return bool(outputs)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_call_rings_is_taken_and_ended_by_the_caller(pair: Pair) -> None:
    call = pair.invite()
    assert list(pair.events()) == [(THERE, Invited(1, "here"))]
    pair.there.ring(1, now_ns=0)
    pair.settle()
    assert list(pair.events()) == [(HERE, Ringing(call))]
    pair.there.answer(1, media=THERE_MEDIA, now_ns=0)
    pair.settle()
    assert set(pair.events()) == {(THERE, Talking(1, HERE_MEDIA)), (HERE, Talking(call, THERE_MEDIA))}
    pair.here.hang_up(call, now_ns=0)
    pair.settle()
    assert list(pair.events()) == [(THERE, Over(1))]


def test_the_callee_can_hang_up_too(pair: Pair) -> None:
    call = pair.invite()
    pair.there.answer(1, media=THERE_MEDIA, now_ns=0)
    pair.settle()
    list(pair.events())
    pair.there.hang_up(1, now_ns=0)
    pair.settle()
    assert list(pair.events()) == [(HERE, Over(call))]


def test_nobody_there_ends_the_call_with_408(pair: Pair) -> None:
    call = pair.here.invite("there", Flow("udp", HERE, THERE), media=HERE_MEDIA, now_ns=0)
    deadline = 0.0
    while (following := pair.here.next_deadline()) is not None and deadline < 60:
        deadline = following
        pair.here.handle_timer(now=deadline)
        said = [output for output in pair.here.drain() if not isinstance(output, Transmit)]
        if said:
            break
    assert said == [Over(call, 408)]
    assert deadline == pytest.approx(32.0)


def talking(pair: Pair) -> int:
    call = pair.invite()
    pair.there.answer(1, media=THERE_MEDIA, now_ns=0)
    pair.settle()
    list(pair.events())
    return call


def test_the_callee_holds_and_resumes(pair: Pair) -> None:
    call = talking(pair)
    for direction in (Direction.SENDONLY, Direction.SENDRECV):
        pair.there.change(1, direction, now_ns=0)
        pair.settle()
        assert list(pair.events()) == [(THERE, Changed(1, 200))]
    pair.here.hang_up(call, now_ns=0)
    pair.settle()
    assert list(pair.events()) == [(THERE, Over(1))]


def test_a_hold_that_nobody_answers_is_told(pair: Pair) -> None:
    talking(pair)
    pair.there.change(1, Direction.SENDONLY, now_ns=0)
    pair.there.drain()
    said: list[object] = []
    while not said and (deadline := pair.there.next_deadline()) is not None:
        pair.there.handle_timer(now=deadline)
        said = [output for output in pair.there.drain() if not isinstance(output, Transmit)]
    assert said == [Changed(1, 408)]


@pytest.mark.parametrize(("payload_type", "codec"), [(0, b"PCMU/8000"), (8, b"PCMA/8000"), (9, b"G722/8000")])
def test_a_description_names_codec_and_direction(payload_type: int, codec: bytes) -> None:
    said = description(HERE_MEDIA, Direction.RECVONLY, 3, payload_type)
    assert b"a=rtpmap:%d %s\r\n" % (payload_type, codec) in said
    assert b"a=recvonly\r\n" in said
    assert b"o=- 1 3 IN IP4 127.0.0.2\r\n" in said
