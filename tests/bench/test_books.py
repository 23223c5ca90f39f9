"""The benchmark must see what it is there to see: a lost, altered or misplaced packet or sample."""

from pathlib import Path

import numpy as np
import pytest

from mediaproxy.loadtest import schedule, wire
from mediaproxy.loadtest.recordings import check_track
from mediaproxy.loadtest.traffic import Books, Traffic
from tests.bench import ng

TABLE = wire.payload_table()
SPOKEN = wire.decode_ulaw(wire.stream_codes(3, 50, TABLE))


def a_track(start: int = 800) -> np.ndarray:
    track = np.zeros(20_000, dtype=np.int16)
    track[start : start + len(SPOKEN)] = SPOKEN
    return track


def test_a_faithful_track_passes() -> None:
    assert check_track(a_track(), SPOKEN, 810) is None


def test_content_never_sounds_silent() -> None:
    assert np.count_nonzero(SPOKEN) == len(SPOKEN)


@pytest.mark.parametrize("at", [800, 5_000, 8_799])
def test_one_wrong_sample_is_seen(at: int) -> None:
    track = a_track()
    track[at] += 4
    assert "differ" in (check_track(track, SPOKEN, 800) or "")


def test_a_sample_beyond_the_end_is_seen() -> None:
    track = a_track()
    track[-1] = 1
    assert "1 beyond" in (check_track(track, SPOKEN, 800) or "")


def test_a_lost_packet_is_seen() -> None:
    track = a_track()
    track[1_600:1_760] = 0
    assert "160 of them silent" in (check_track(track, SPOKEN, 800) or "")


def test_a_wrong_place_is_seen() -> None:
    assert "begins" in (check_track(a_track(1_300), SPOKEN, 800) or "")


def test_another_streams_audio_is_seen() -> None:
    other = wire.decode_ulaw(wire.stream_codes(4, 50, TABLE))
    assert check_track(a_track(), other, 800) is not None


@pytest.mark.parametrize("field", ["flags", "pt", "seq", "ts"])
def test_an_altered_header_is_seen(field: str) -> None:
    packets = np.zeros(4, dtype=wire.PACKET)
    wire.fill(packets, np.arange(4), 17, TABLE)
    assert wire.recognise(packets, TABLE)[2].all()
    packets[field][2] ^= 1
    assert wire.recognise(packets, TABLE)[2].tolist() == [True, True, False, True]


def test_an_altered_payload_is_seen() -> None:
    packets = np.zeros(1, dtype=wire.PACKET)
    wire.fill(packets, np.arange(1), 17, TABLE)
    packets["payload"][0, 159] ^= 1
    assert not wire.recognise(packets, TABLE)[2].any()


def test_streams_of_a_slot_share_their_socket_and_legs_never_do() -> None:
    sides = {(number % 2, schedule.socket_index(number) % 2) for number in range(2_000)}
    assert sides == {(0, 0), (1, 1)}


def test_bencode_survives_the_way_there_and_back() -> None:
    value: ng.Bencoded = {"command": "offer", "flags": ["a", 7, {"x": -1}], "sdp": "v=0\r\n"}
    assert ng.decode(ng.encode(value)) == value


@pytest.mark.slow
async def test_packets_that_arrive_balance_the_books(tmp_path: Path) -> None:
    books = await _exchange(tmp_path, {})
    assert books.faultless
    assert books.sent == 4 * 10
    assert (books.delays_us(0, 2**62) > 0).all()


@pytest.mark.slow
async def test_lost_and_misdirected_packets_are_told_apart(tmp_path: Path) -> None:
    books = await _exchange(tmp_path, {0: ("127.0.0.3", 9), 2: None})
    assert (books.lost, books.misdirected, books.sound, books.faultless) == (10, 10, True, False)


async def _exchange(directory: Path, elsewhere: dict[int, tuple[str, int] | None]) -> Books:
    """Two calls without any proxy: each leg's packets go straight to the other's socket, or elsewhere."""
    traffic = Traffic(directory)
    try:
        streams = []
        for number in range(4):
            target = elsewhere.get(number, traffic.party(number ^ 1))
            streams.append(schedule.Stream(number, *(target or traffic.party(number))))
        await traffic.start(streams, 0.16)  # and two cycles until the second call begins
        return await traffic.finish()
    finally:
        traffic.close()
