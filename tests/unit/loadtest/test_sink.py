"""What the sink says of a packet: whose it is, when it came, and what is wrong with it."""

import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from mediaproxy.loadtest import digits, schedule, wire
from mediaproxy.loadtest.mmsg import open_socket
from mediaproxy.loadtest.sink import ALTERED, DIGIT, FOREIGN, MISDIRECTED, Sink

STREAM, INDEX = 6, 11


class Ears:
    def __init__(self) -> None:
        self.sockets = [open_socket("127.0.0.1") for _ in range(schedule.SOCKETS)]
        self.sink = Sink([sock.fileno() for sock in self.sockets])
        self.mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def hear(self, packet: bytes, at: int = schedule.sink_index(STREAM)) -> np.void:
        self.mouth.sendto(packet, self.sockets[at].getsockname())
        found = self.sink.poll()
        assert found is not None
        [arrival] = found
        return arrival

    def close(self) -> None:
        for sock in (*self.sockets, self.mouth):
            sock.close()


@pytest.fixture
def ears() -> Iterator[Ears]:
    made = Ears()
    yield made
    made.close()


def packet() -> np.ndarray:
    row = np.zeros(1, dtype=wire.PACKET)
    wire.fill(row, np.array([STREAM]), INDEX, wire.payload_table())
    return row


def test_a_right_packet_is_known_with_its_time(ears: Ears) -> None:
    before_ns = time.monotonic_ns()
    arrival = ears.hear(packet().tobytes())
    assert (arrival["stream"], arrival["index"], arrival["wrong"], arrival["shift"]) == (STREAM, INDEX, 0, 0)
    assert before_ns - 1_000_000 <= arrival["at_ns"] <= time.monotonic_ns() + 1_000_000


def test_a_lower_sequence_number_is_told(ears: Ears) -> None:
    row = packet()
    row["seq"] -= 14
    assert (ears.hear(row.tobytes())["wrong"], ears.hear(row.tobytes())["shift"]) == (0, 14)


@pytest.mark.parametrize("at", [0, 1, 8, 20, 171])
def test_a_changed_byte_is_an_alteration(ears: Ears, at: int) -> None:
    changed = bytearray(packet().tobytes())
    changed[at] ^= 0x40 if at == 1 else 0x01
    assert ears.hear(bytes(changed))["wrong"] in ((FOREIGN, ALTERED) if at == 8 else (ALTERED,))


@pytest.mark.parametrize("more", [b"\0", b"\0" * 60])
def test_a_grown_or_cut_packet_is_an_alteration(ears: Ears, more: bytes) -> None:
    assert ears.hear(packet().tobytes() + more)["wrong"] == ALTERED
    assert ears.hear(packet().tobytes()[:-1])["wrong"] == ALTERED


def test_a_packet_at_anothers_socket_is_misdirected(ears: Ears) -> None:
    assert ears.hear(packet().tobytes(), at=schedule.sink_index(STREAM) ^ 1)["wrong"] == MISDIRECTED


def test_what_is_not_ours_is_foreign(ears: Ears) -> None:
    assert ears.hear(b"\x80\x00" + bytes(170))["wrong"] == FOREIGN


def test_a_digit_is_told(ears: Ears) -> None:
    row = packet()
    [(_, said), *_] = digits.dialled([(INDEX, "1")])
    length = digits.write(row, said)
    arrival = ears.hear(row.tobytes()[:length])
    assert (arrival["stream"], arrival["index"], arrival["wrong"]) == (STREAM, INDEX, DIGIT)


def test_when_nothing_came_nothing_is_told(ears: Ears) -> None:
    assert ears.sink.poll() is None
