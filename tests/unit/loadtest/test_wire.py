"""Time-coded speech: no two packets of a stream and no two streams are alike, for hours."""

import numpy as np

from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM
from mediaproxy.loadtest import wire

TABLE = wire.payload_table()
CODES = np.arange(256, dtype=np.uint8)


def test_a_stream_of_ten_minutes_never_repeats_a_packet() -> None:
    said = wire.payloads(3, np.arange(30_000), TABLE)
    assert len({packet.tobytes() for packet in said}) == 30_000


def test_three_thousand_calls_say_different_things_at_the_same_time() -> None:
    for index in (0, 1, 4_093):
        said = wire.payloads(np.arange(6_000), index, TABLE)
        assert len({packet.tobytes() for packet in said}) == 6_000


def test_our_decoders_agree_with_the_tables() -> None:
    assert (wire.decode_ulaw(CODES) == ULAW_TO_PCM).all()
    assert (wire.decode_alaw(CODES) == ALAW_TO_PCM).all()


def test_nothing_that_is_said_sounds_silent() -> None:
    assert np.count_nonzero(wire.decode_ulaw(TABLE)) == TABLE.size
