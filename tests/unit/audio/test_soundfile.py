"""Any WAV becomes a sound of ours, or is refused in words."""

import struct
from io import BytesIO
from typing import Any

import av
import numpy as np
import pytest

from mediaproxy.audio.sound import RATES_HZ
from mediaproxy.audio.soundfile import MAX_SECONDS, BadSound, read_sound


def wav(pcm: np.ndarray, rate: int, *, codec: str = "pcm_s16le") -> bytes:
    """`pcm` is (frames, channels) between -1 and 1, written by another's hand."""
    formats = {"pcm_u8": "u8", "pcm_s16le": "s16", "pcm_s24le": "s32", "pcm_s32le": "s32", "pcm_f32le": "flt"}
    out = BytesIO()
    layout = "mono" if pcm.shape[1] == 1 else "stereo"
    with av.open(out, "w", format="wav") as container:
        stream: Any = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(pcm.astype(np.float32).reshape(1, -1), format="flt", layout=layout)
        frame.rate = rate
        resampler = av.AudioResampler(format=formats.get(codec, "s16"), layout=layout, rate=rate)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return out.getvalue()


def sine(rate: int, seconds: float = 0.5, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * 500 * np.arange(round(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(
    "codec", ["pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"]
)
def test_any_rate_and_width(rate: int, codec: str) -> None:
    sound = read_sound("a", wav(sine(rate), rate, codec=codec))
    assert abs(sound.ticks - 4_000) <= 2
    for at, pcm in sound.by_rate.items():
        assert len(pcm) == sound.ticks * at // 8_000
        middle = pcm[len(pcm) // 4 : len(pcm) * 3 // 4].astype(float)
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        assert abs(np.argmax(spectrum) * at / len(middle) - 500) < 8
        assert 15_000 < np.abs(middle).max() < 17_500


def test_channels_become_one() -> None:
    two = sine(16_000, channels=2)
    two[:, 1] = 0
    loudest = [
        int(np.abs(read_sound("a", wav(each, 16_000)).by_rate[8_000]).max())
        for each in (sine(16_000, channels=2), two)
    ]
    assert loudest[0] > 15_000
    assert 0.4 < loudest[1] / loudest[0] < 0.75


def test_stretches_reach_beyond_the_end_as_silence() -> None:
    sound = read_sound("a", wav(sine(8_000, 0.1), 8_000))
    for rate in RATES_HZ:
        stretch = sound.stretch(sound.ticks - 80, 160, rate)
        assert len(stretch) == 160 * rate // 8_000
        assert np.any(stretch[: len(stretch) // 2])
        assert not np.any(stretch[len(stretch) // 2 :])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no WAV"),
        (b"RIFF\x04\0\0\0WAVE", "no WAV"),
        (b"ID3" + bytes(1000), "no WAV"),
        (wav(sine(8_000), 8_000)[:60] , "no WAV|nothing"),
        (wav(np.zeros((800, 1)), 8_000), "nothing is to be heard"),
        (wav(sine(8_000, MAX_SECONDS + 0.1), 8_000), "longer than 60 s"),
        (wav(sine(8_000), 2_000), "rate is 2000"),
    ],
)  # fmt: skip
def test_what_is_no_sound_is_refused_in_words(content: bytes, why: str) -> None:
    with pytest.raises(BadSound, match=why):
        read_sound("a", content)


def test_no_bytes_bring_more_than_a_refusal() -> None:
    good = wav(sine(8_000, 0.05), 8_000)
    random = np.random.default_rng(7)
    for _ in range(60):
        bad = bytearray(good)
        for at in random.integers(0, 60, 3):
            bad[at] = random.integers(0, 256)
        try:
            read_sound("a", bytes(bad))
        except BadSound:
            continue


def test_a_rate_that_lies() -> None:
    content = bytearray(wav(sine(8_000), 8_000))
    at = content.index(b"fmt ") + 12
    struct.pack_into("<I", content, at, 0)
    with pytest.raises(BadSound):
        read_sound("a", bytes(content))
