"""What has no memory between packets: G.711 and L16 (RFC 3551 4.5.11), of any clock, mono or stereo."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mediaproxy.audio.g711 import Codes, Pcm

NETWORK_ORDER = np.dtype(">i2")


class TableDecoder:
    """G.711: a byte a sample."""

    def __init__(self, table: Pcm, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.faults = 0
        self._table = table
        self._channels = channels

    def reset(self) -> None:
        """Nothing is remembered."""

    def decode(self, payload: bytes) -> Pcm:
        whole = len(payload) - len(payload) % self._channels
        self.faults += whole != len(payload)
        return mixed(self._table[np.frombuffer(payload[:whole], dtype=np.uint8)], self._channels)


class L16Decoder:
    """Two bytes a sample, in network order."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.faults = 0
        self._channels = channels

    def reset(self) -> None:
        """Nothing is remembered."""

    def decode(self, payload: bytes) -> Pcm:
        whole = len(payload) - len(payload) % (2 * self._channels)
        self.faults += whole != len(payload)
        return mixed(np.frombuffer(payload[:whole], dtype=NETWORK_ORDER).astype(np.int16), self._channels)


class TableEncoder:
    """G.711 from mono."""

    def __init__(self, encode: Callable[[Pcm], Codes], rate_hz: int, channels: int) -> None:
        self.rate_hz = self.clock_hz = rate_hz
        self._encode = encode
        self._channels = channels

    def reset(self) -> None:
        """Nothing is remembered."""

    def encode(self, pcm: Pcm) -> bytes:
        return self._encode(np.ascontiguousarray(pcm)).repeat(self._channels).tobytes()


class L16Encoder:
    """L16 from mono."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = self.clock_hz = rate_hz
        self._channels = channels

    def reset(self) -> None:
        """Nothing is remembered."""

    def encode(self, pcm: Pcm) -> bytes:
        return pcm.astype(NETWORK_ORDER).repeat(self._channels).tobytes()


def mixed(pcm: Pcm, channels: int) -> Pcm:
    """Interleaved channels as one: their mean, rounded down."""
    if channels == 1:
        return pcm
    total: npt.NDArray[np.int32] = pcm.reshape(-1, channels).sum(axis=1, dtype=np.int32)
    mean: Pcm = (total // channels).astype(np.int16)
    return mean
