"""G.722 at 64 kbit/s (ITU-T, 1988): 16 kHz, a byte for two samples, by FFmpeg's bit-exact coder.

RTP counts it at 8000 Hz (RFC 3551 4.5.2), so a byte is one tick.
"""

import av
import numpy as np

from mediaproxy.audio.g711 import Pcm

RATE_HZ = 16_000
CLOCK_HZ = 8_000
BLOCK_SAMPLES = 80  # what FFmpeg's coder takes at once: 5 ms, so that any ptime is made of whole ones


class G722Decoder:
    """Any byte is a code, so no payload is bad."""

    def __init__(self) -> None:
        self.rate_hz = RATE_HZ
        self.faults = 0
        self.reset()

    def reset(self) -> None:
        self._context = av.AudioCodecContext.create("g722", "r")
        self._context.sample_rate = RATE_HZ
        self._context.layout = "mono"

    def decode(self, payload: bytes) -> Pcm:
        if not payload:
            return np.zeros(0, dtype=np.int16)  # an empty packet would be the end of the stream
        try:
            frames = self._context.decode(av.Packet(payload))
        except av.FFmpegError:
            frames = []
        pcm = _joined([frame.to_ndarray()[0] for frame in frames])
        if len(pcm) == 2 * len(payload):
            return pcm
        self.faults += 1
        return np.zeros(2 * len(payload), dtype=np.int16)


class G722Encoder:
    """From 16 kHz, in packets of any number of blocks of 5 ms."""

    def __init__(self) -> None:
        self.rate_hz = RATE_HZ
        self.clock_hz = CLOCK_HZ
        self.reset()

    def reset(self) -> None:
        self._context = av.AudioCodecContext.create("g722", "w")
        self._context.sample_rate = RATE_HZ
        self._context.layout = "mono"
        self._context.format = "s16"
        self._context.options = {"frame_size": str(BLOCK_SAMPLES)}

    def encode(self, pcm: Pcm) -> bytes:
        if not len(pcm) or len(pcm) % BLOCK_SAMPLES:
            raise ValueError("G.722 packets are made of whole blocks of 5 ms")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm)[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        return b"".join(bytes(packet) for packet in self._context.encode(frame))


def _joined(parts: list[Pcm]) -> Pcm:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)
