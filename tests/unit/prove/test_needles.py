"""Whatever form a packet or a number could have been kept in, a needle finds it; noise has none."""

import json
import random
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import numpy as np
import pytest

from mediaproxy.audio.g711 import ULAW_TO_PCM, alaw_encode
from mediaproxy.prove.needles import (
    audio_needles,
    digit_needles,
    number,
    number_needles,
    signal,
)
from mediaproxy.prove.search import holds

MARKER = signal("a seed")
PCM = ULAW_TO_PCM[np.frombuffer(MARKER, dtype=np.uint8)]
NEEDLES = audio_needles("marker", MARKER)


def around(content: bytes, *, before: int = 1_001) -> bytes:
    chance = random.Random(before)
    return chance.randbytes(before) + content + chance.randbytes(500)


def forms(content: bytes) -> set[str]:
    return {needle.form for needle in NEEDLES if holds(content, needle)}


def stereo(channel: int) -> bytes:
    frames = np.random.default_rng(1).integers(-9_000, 9_000, (len(PCM), 2)).astype("<i2")
    frames[:, channel] = PCM
    return frames.tobytes()


@pytest.mark.parametrize(
    ("kept", "form"),
    [
        (MARKER, "marker as µ-law"),
        (alaw_encode(PCM).tobytes(), "marker as A-law"),
        (PCM.astype("<i2").tobytes(), "marker as PCM"),
        (stereo(0), "marker as stereo PCM"),
        (stereo(1), "marker as stereo PCM"),
        (MARKER.hex().encode(), "marker as µ-law in hex"),
        (PCM.astype("<i2").tobytes().hex().upper().encode(), "marker as PCM in hex"),
    ],
)
def test_a_packet_is_found_in_every_form_and_as_that_form_alone(kept: bytes, form: str) -> None:
    assert forms(around(kept)) == {form}


@pytest.mark.parametrize("phase", range(3))
@pytest.mark.parametrize("coded", [b64encode, urlsafe_b64encode])
def test_base64_is_found_wherever_the_packet_begins(phase: int, coded: Callable[[bytes], bytes]) -> None:
    header = random.Random(phase).randbytes(12 + phase)
    assert forms(coded(header + MARKER)) == {"marker as µ-law in base64"}
    assert forms(coded(header + PCM.astype("<i2").tobytes())) == {"marker as PCM in base64"}


@pytest.mark.parametrize("cut", [(0, 60), (50, 115), (90, 160)])
def test_a_part_of_a_packet_is_found(cut: tuple[int, int]) -> None:
    assert forms(around(MARKER[slice(*cut)])) == {"marker as µ-law"}


def test_noise_and_another_signal_hold_nothing() -> None:
    assert forms(random.Random(5).randbytes(1 << 20)) == set()
    assert forms(signal("another seed") * 9) == set()
    assert len(set(MARKER)) > 60


@pytest.mark.parametrize(
    "write", [str, " ".join, "-".join, list, lambda digits: json.dumps(list(digits)), ",".join]
)
def test_a_number_is_found_however_it_is_written(write: Callable[[str], object]) -> None:
    digits = number("a seed")
    text = f"before {write(digits)} after".encode()
    assert any(holds(text, needle) for needle in number_needles("number", digits))
    assert not any(holds(text, needle) for needle in number_needles("number", number("another")))


def test_a_number_is_found_as_event_codes_and_wide_text() -> None:
    digits = number("a seed")
    for kept in (bytes(map(int, digits)), digits.encode("utf-16-le"), digits.encode("utf-32-le")):
        assert any(holds(around(kept), needle) for needle in number_needles("number", digits))


@pytest.mark.parametrize(
    "line",
    [
        b'{"digit": "4", "x": 1}',
        b"digit=4 leg=B",
        b"Signal=4\r\nDuration=160",
        b'"digits":"*1"}',
        b"dialled='7',",
    ],
)
def test_a_named_digit_is_found(line: bytes) -> None:
    assert holds(line, digit_needles()[0])


@pytest.mark.parametrize(
    "line",
    [
        b'{"means":"dtmf","user":"alice"}',
        b'dtmf = {start = "*1"}',
        b"withheld=24 injected=0",
        b'"code_seen": 1',
        b"signalling=4",
    ],
)
def test_what_names_no_digit_is_not(line: bytes) -> None:
    assert not holds(line, digit_needles()[0])
