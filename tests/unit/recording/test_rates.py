"""Which rate a call's file gets."""

import pytest

from mediaproxy.calls.plane import Codec
from mediaproxy.recording.rates import best_rate

PCMU, PCMA, G722, OPUS = (
    Codec("PCMU", 8000),
    Codec("PCMA", 8000),
    Codec("G722", 8000),
    Codec("OPUS", 48000, 2),
)
WIDE, CD, G729 = Codec("L16", 16000), Codec("L16", 44100, 2), Codec("G729", 8000)


@pytest.mark.parametrize(
    ("caller", "callee", "rate"),
    [
        ([PCMU], [PCMU], 8_000),
        ([G722, PCMU], [G722], 16_000),
        ([PCMU, G722], [PCMU, G722, OPUS], 16_000),
        ([OPUS, PCMU], [OPUS, G722, PCMU], 48_000),
        ([WIDE], [WIDE], 16_000),
        ([CD], [CD], 48_000),
        ([PCMU, G729], [G729, PCMU], 8_000),
        ([G729], [G729], 8_000),
        ([G722], [], 16_000),  # the other one's answer comes with the ACK
        ([], [], 8_000),
        ([PCMU], [OPUS], 48_000),  # whatever each of them sends
    ],
)
def test_the_best_of_what_both_may_send_decides(caller: list[Codec], callee: list[Codec], rate: int) -> None:
    assert best_rate([dict(enumerate(caller)), dict(enumerate(callee))]) == rate
