"""What the sender sends in each cycle: who talks, who is on hold, what the network does, what is dialled."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from mediaproxy.loadtest import digits, wire
from mediaproxy.loadtest.ledger import spoken
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.schedule import SOCKETS, Speech, Stream
from mediaproxy.loadtest.sender import Sender

PACKETS = 60


class World:
    """A sender, and a socket that hears all of it; time does not pass."""

    def __init__(self, network: Network) -> None:
        self.ears = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.ears.bind(("127.0.0.1", 0))
        self.ears.setblocking(False)
        self.mouths = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
        self.sender = Sender([mouth.fileno() for mouth in self.mouths], network)

    def speech(self, number: int, **more: object) -> Speech:
        stream = Stream(number, *self.ears.getsockname())
        return Speech(**({"stream": stream, "first": 2, "packets": PACKETS} | more))  # type: ignore[arg-type]

    def run(self, cycles: range) -> list[list[bytes]]:
        """What is heard, by cycle."""
        found = []
        for cycle in cycles:
            self.sender.send(cycle, 0)
            found.append(list(self._heard()))
        return found

    def close(self) -> None:
        for sock in (self.ears, *self.mouths):
            sock.close()

    def _heard(self) -> Iterator[bytes]:
        while True:
            try:
                yield self.ears.recv(2_000)
            except BlockingIOError:
                return


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(getattr(request, "param", Network()))
    yield made
    made.close()


def indices(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[4:8], "big") // wire.SAMPLES for packet in packets]


def test_a_speech_is_sent_a_packet_each_cycle_from_its_first_to_its_last(world: World) -> None:
    world.sender.begin([world.speech(4)], 0)
    heard = world.run(range(PACKETS + 4))
    assert [indices(packets) for packets in heard] == [[], [], *([at] for at in range(PACKETS)), [], []]
    table = wire.payload_table()
    assert heard[12][0][12:] == wire.payloads(4, 10, table).tobytes()
    assert world.sender.sent == PACKETS
    assert world.sender.unsent == 0


def test_many_begin_and_end_at_different_times(world: World) -> None:
    world.sender.begin([world.speech(number, first=number % 7) for number in range(50)], 0)
    world.sender.begin([world.speech(100, packets=3)], 0)
    heard = world.run(range(PACKETS + 8))
    assert len(heard[0]) == 8  # 0, 7, 14, …
    assert len(heard[6]) == 50
    assert sum(map(len, heard)) == 50 * PACKETS + 3


def test_what_is_asked_for_too_late_counts_as_unsent(world: World) -> None:
    world.sender.begin([world.speech(4)], 5)
    world.run(range(5, PACKETS + 4))
    assert world.sender.unsent == 3
    assert world.sender.sent == PACKETS - 3


def test_a_stop_silences_everybody(world: World) -> None:
    world.sender.begin([world.speech(4), world.speech(6, first=30)], 0)
    heard = world.run(range(20))
    world.sender.stop(20)
    assert sum(map(len, heard)) == 18
    assert sum(map(len, world.run(range(20, 80)))) == 0


def test_nothing_is_said_in_a_pause(world: World) -> None:
    world.sender.begin([world.speech(4, pause=(10, 30))], 0)
    heard = [at for packets in world.run(range(PACKETS + 4)) for at in indices(packets)]
    assert heard == [*range(10), *range(30, PACKETS)]


def test_a_digit_stands_in_place_of_speech(world: World) -> None:
    speech = world.speech(5, digits=digits.code(10, "*1"))
    world.sender.begin([speech], 0)
    heard = [packet for packets in world.run(range(PACKETS + 4)) for packet in packets]
    events = [packet for packet in heard if packet[1] & 0x7F == digits.PAYLOAD_TYPE]
    assert [packet[12] for packet in events] == [10] * digits.PACKETS + [1] * digits.PACKETS
    assert {indices([packet])[0] for packet in events} == {10, 22}  # all of a digit have one timestamp
    assert [packet[1] >> 7 for packet in events] == [1, 0, 0, 0, 0, 0, 0] * 2
    assert [int.from_bytes(packet[14:16], "big") for packet in events[:7]] == [
        160,
        320,
        480,
        640,
        800,
        800,
        800,
    ]
    assert [packet[13] >> 7 for packet in events[:7]] == [0, 0, 0, 0, 1, 1, 1]
    assert [int.from_bytes(packet[2:4], "big") for packet in heard] == [
        (wire.FIRST_SEQ + at) & 0xFFFF for at in range(PACKETS)
    ]


@pytest.mark.parametrize("world", [Network(loss=0.2, jitter_ms=40, reorder=0.1, seed=5)], indirect=True)
def test_a_network_loses_and_delays_exactly_what_it_says(world: World) -> None:
    network = Network(loss=0.2, jitter_ms=40, reorder=0.1, seed=5)
    speeches = [world.speech(number, digits=digits.code(20, "*1")) for number in (5, 7, 9)]
    world.sender.begin(speeches, 0)
    heard = world.run(range(PACKETS + 12))
    for speech in speeches:
        ssrc = (wire.FIRST_SSRC + speech.stream.number).to_bytes(4, "big")
        mine = [[p for p in packets if p[8:12] == ssrc] for packets in heard]
        said = sorted(at for packets in mine for at in indices([p for p in packets if p[1] == 0]))
        assert said == np.flatnonzero(spoken(speech, network)).tolist()
        assert sum(p[1] & 0x7F == digits.PAYLOAD_TYPE for packets in mine for p in packets) == 14
        late = [
            cycle - 2 - at
            for cycle, packets in enumerate(mine)
            for at in indices(packets)
            if packets[0][1] == 0
        ]
        assert 0 <= min(late) < max(late) <= network.cycles
