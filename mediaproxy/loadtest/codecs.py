"""The codecs that synthetic parties speak, and what a recording must hold of them, to the sample.

G.711 is decoded by its formula. G.722 is decoded by FFmpeg's decoder, which the proxy uses too: what is
checked is that every packet is decoded once, in order, and stands where it belongs. Opus has no place
here: what its packets decode to depends on the decoder's version.
"""

from enum import StrEnum

import av
import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import wire

_PACKETS_PER_S = 50


class Codec(StrEnum):
    PCMU = "pcmu"
    PCMA = "pcma"
    G722 = "g722"

    @property
    def payload_type(self) -> int:
        """RFC 3551's."""
        return {Codec.PCMU: wire.PCMU, Codec.PCMA: 8, Codec.G722: 9}[self]

    @property
    def rate(self) -> int:
        """Of a file that holds it unchanged."""
        return 16_000 if self is Codec.G722 else 8_000

    @property
    def samples(self) -> int:
        """Of a packet of 20 ms, in that file."""
        return self.rate // _PACKETS_PER_S

    def decode(self, codes: NDArray[np.uint8], there: NDArray[np.bool_]) -> NDArray[np.int16]:
        """Packets (a row each) to a track; zeros for those that are not there."""
        found = np.zeros((len(codes), self.samples), dtype=np.int16)
        match self:
            case Codec.PCMU:
                found[there] = wire.decode_ulaw(codes[there])
            case Codec.PCMA:
                found[there] = wire.decode_alaw(codes[there])
            case Codec.G722:
                found[there] = _decode_g722(codes[there])
        return found.reshape(-1)


def _decode_g722(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    decoder = av.CodecContext.create("g722", "r")
    frames = [frame for row in codes for frame in decoder.decode(av.Packet(row.tobytes()))]
    if not frames:
        return np.zeros((0, Codec.G722.samples), dtype=np.int16)
    whole = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    return whole.reshape(len(codes), -1)
