"""Opus (RFC 6716) in RTP (RFC 7587), by the libopus that PyAV brings along.

Called directly, because libopus itself gives 8, 16 or 48 kHz and mixes stereo down: what PyAV's own
decoder would give (48 kHz always) would have to be resampled once more. Its state lies in memory of ours,
so there is nothing to be freed.
"""

import ctypes
from pathlib import Path
from typing import Final

import av
import numpy as np

from mediaproxy.audio.g711 import Pcm

CLOCK_HZ: Final = 48_000
RATES_HZ: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
MAX_PACKET_TICKS: Final = 5_760  # 120 ms
PACKETS_MS: Final = (10, 20, 40, 60)

_VOIP: Final = 2_048
_SET_BITRATE: Final = 4_002
_SET_COMPLEXITY: Final = 4_010
_BITRATE: Final = 32_000
_COMPLEXITY: Final = 5
_MAX_BYTES: Final = 1_275
# Ticks of one frame for each of the 32 configurations (RFC 6716 table 2).
_SILK, _HYBRID, _CELT = (480, 960, 1920, 2880), (480, 960), (120, 240, 480, 960)
_FRAME_TICKS: Final = _SILK * 3 + _HYBRID * 2 + _CELT * 4


def _library() -> ctypes.CDLL | None:
    beside_pyav = sorted((Path(av.__file__).parent.parent / "av.libs").glob("libopus-*.so*"))
    for name in [*map(str, beside_pyav), "libopus.so.0"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


_OPUS: Final = _library()
AVAILABLE: Final = _OPUS is not None


def ticks(payload: bytes | bytearray | memoryview) -> int:
    """How long a packet lasts at 48 kHz, by its first bytes (RFC 6716 3.1); 0 when it is none."""
    if not payload:
        return 0
    frame, code = _FRAME_TICKS[payload[0] >> 3], payload[0] & 3
    count = (1, 2, 2)[code] if code < 3 else payload[1] & 63 if len(payload) > 1 else 0
    return count * frame if count * frame <= MAX_PACKET_TICKS else 0


class OpusDecoder:
    """Mono at one of `RATES_HZ`, whatever the stream is."""

    def __init__(self, rate_hz: int) -> None:
        assert _OPUS is not None
        self.rate_hz = rate_hz
        self.faults = 0
        self._room = MAX_PACKET_TICKS * rate_hz // CLOCK_HZ
        self._state = ctypes.create_string_buffer(_OPUS.opus_decoder_get_size(1))
        self.reset()

    def reset(self) -> None:
        assert _OPUS is not None
        _OPUS.opus_decoder_init(self._state, self.rate_hz, 1)

    def decode(self, payload: bytes) -> Pcm:
        assert _OPUS is not None
        pcm = np.empty(self._room, dtype=np.int16)
        into = ctypes.c_void_p(pcm.ctypes.data)
        wanted = ticks(payload) * self.rate_hz // CLOCK_HZ
        # Without bytes libopus would conceal a loss instead.
        given = _OPUS.opus_decode(self._state, payload, len(payload), into, self._room, 0) if wanted else 0
        if given == wanted > 0:
            return pcm[:given].copy()
        self.faults += 1
        return np.zeros(wanted, dtype=np.int16)


class OpusEncoder:
    """From 48 kHz mono, at a constant setting: the same sound gives the same bytes."""

    def __init__(self) -> None:
        assert _OPUS is not None
        self.rate_hz = self.clock_hz = CLOCK_HZ
        self._state = ctypes.create_string_buffer(_OPUS.opus_encoder_get_size(1))
        self.reset()

    def reset(self) -> None:
        assert _OPUS is not None
        _OPUS.opus_encoder_init(self._state, CLOCK_HZ, 1, _VOIP)
        _OPUS.opus_encoder_ctl(self._state, _SET_BITRATE, ctypes.c_int(_BITRATE))
        _OPUS.opus_encoder_ctl(self._state, _SET_COMPLEXITY, ctypes.c_int(_COMPLEXITY))

    def encode(self, pcm: Pcm) -> bytes:
        assert _OPUS is not None
        if len(pcm) * 1_000 // CLOCK_HZ not in PACKETS_MS or len(pcm) * 1_000 % CLOCK_HZ:
            raise ValueError("an Opus packet is 10, 20, 40 or 60 ms long")
        sound = np.ascontiguousarray(pcm, dtype=np.int16)
        coded = ctypes.create_string_buffer(_MAX_BYTES)
        length = _OPUS.opus_encode(
            self._state, ctypes.c_void_p(sound.ctypes.data), len(sound), coded, _MAX_BYTES
        )
        if length <= 0:
            raise ValueError("libopus refused the sound")
        return coded.raw[:length]
