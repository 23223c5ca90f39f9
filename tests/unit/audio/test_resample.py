"""The filter between two rates: where a sample lies, what passes, and that portions change nothing."""

import numpy as np
import pytest

from mediaproxy.audio.g711 import Pcm
from mediaproxy.audio.resample import Resampler, resample

PAIRS = [
    (8_000, 16_000), (8_000, 48_000), (16_000, 8_000), (16_000, 48_000), (48_000, 8_000), (48_000, 16_000),
    (44_100, 8_000), (44_100, 16_000), (44_100, 48_000), (11_025, 8_000), (32_000, 48_000), (24_000, 16_000),
]  # fmt: skip


def tone(rate_hz: int, hz: float, seconds: float = 0.5) -> Pcm:
    at = np.arange(round(rate_hz * seconds)) / rate_hz
    sound: Pcm = np.rint(10_000 * np.sin(2 * np.pi * hz * at + 0.5)).astype(np.int16)
    return sound


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_a_sound_stays_where_it_was(in_hz: int, out_hz: int) -> None:
    result = resample(tone(in_hz, 1_000.0), in_hz, out_hz)
    wanted = tone(out_hz, 1_000.0)
    assert len(result) == -(-len(tone(in_hz, 1_000.0)) * out_hz // in_hz)
    middle = slice(out_hz // 50, len(wanted) - out_hz // 50)
    assert int(np.abs(result[: len(wanted)].astype(np.int32) - wanted)[middle].max()) <= 5  # 66 dB below


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_what_the_lower_rate_cannot_hold_is_gone(in_hz: int, out_hz: int) -> None:
    """No aliases of what lies above, no images of what lies below."""
    lower = min(in_hz, out_hz)
    hz = 0.4 * lower if in_hz < out_hz else 0.56 * lower
    result = resample(tone(in_hz, hz), in_hz, out_hz)[out_hz // 50 : -out_hz // 50]
    spectrum = np.abs(np.fft.rfft(result * np.blackman(len(result)))) / len(result)
    heard = np.fft.rfftfreq(len(result), 1 / out_hz)
    elsewhere = spectrum[np.abs(heard - hz) > 100.0]
    assert float(elsewhere.max()) < 10_000 * 0.21 * 10 ** (-66 / 20)


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_portions_change_nothing_and_come_out_as_they_go_in(in_hz: int, out_hz: int) -> None:
    sound = tone(in_hz, 700.0)
    random = np.random.default_rng(4)
    resampler, parts, at = Resampler(in_hz, out_hz), [], 0
    while at < len(sound):
        size = int(random.integers(0, in_hz // 50))
        parts.append(resampler.push(sound[at : at + size]))
        at += size
    parts.append(resampler.flush())
    apart = np.concatenate(parts).astype(np.int32) - resample(sound, in_hz, out_hz)
    assert int(np.abs(apart).max()) <= 1

    lengths = [len(resampler.push(sound[: in_hz // 50])) for _ in range(20)]
    assert max(lengths[1:]) - min(lengths[1:]) <= 1


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_a_constant_stays_what_it_was_and_full_scale_is_not_exceeded(in_hz: int, out_hz: int) -> None:
    level = np.full(in_hz // 10, 12_345, dtype=np.int16)
    result = resample(level, in_hz, out_hz)
    assert (np.abs(result[out_hz // 50 : -out_hz // 50].astype(np.int32) - 12_345) <= 1).all()
    square = np.where(np.arange(in_hz // 10) // 20 % 2, 32_767, -32_768).astype(np.int16)
    result = resample(square, in_hz, out_hz)
    assert (int(result.max()), int(result.min())) == (32_767, -32_768)  # it clips and does not wrap
    assert int(np.abs(np.diff(result.astype(np.int32))).max()) < 65_535


def test_a_flush_forgets_everything() -> None:
    used = Resampler(16_000, 8_000)
    used.push(tone(16_000, 900.0))
    assert len(used.flush()) == 32  # 4 ms were owed
    assert not used.waiting
    fresh = Resampler(16_000, 8_000)
    np.testing.assert_array_equal(used.push(tone(16_000, 500.0)), fresh.push(tone(16_000, 500.0)))
