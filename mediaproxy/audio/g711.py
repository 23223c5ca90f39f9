"""G.711 (ITU-T, 1988) by table, in 16-bit linear PCM.

Both laws are piecewise linear: a sign, a segment (0 to 7) and a step (0 to 15) within it. A-law codes
13 bits and µ-law 14, so the PCM here is theirs shifted left by 3 and 2. The encoder is a table too,
over all 65,536 inputs: its decision values are those of the ITU-T Software Tools Library.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]


_ULAW_BIAS: Final = 33  # in 14-bit units: makes every segment start at a power of two
_ULAW_CLIP: Final = 8191
_ALAW_EVEN_BITS: Final = 0x55  # inverted on the line


def _ulaw_to_pcm() -> Pcm:
    code = np.arange(256, dtype=np.int32) ^ 0xFF
    segment, step = code >> 4 & 7, code & 15
    magnitude = (((2 * step + _ULAW_BIAS) << segment) - _ULAW_BIAS) << 2
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_to_pcm() -> Pcm:
    code = np.arange(256, dtype=np.int32) ^ _ALAW_EVEN_BITS
    segment, step = code >> 4 & 7, code & 15
    linear = np.where(segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment - 1, 0)) << 3
    return np.where(code & 0x80, linear, -linear).astype(np.int16)


def _every_pcm() -> npt.NDArray[np.int32]:
    """All 16-bit values in the order of their unsigned spelling, so that it indexes a table."""
    return np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)


def _pcm_to_ulaw() -> Codes:
    pcm = _every_pcm() >> 2
    magnitude = np.minimum(np.where(pcm < 0, ~pcm, pcm) + _ULAW_BIAS, _ULAW_CLIP)
    segment = np.frexp(magnitude)[1] - 6
    code = segment << 4 | (magnitude >> segment + 1 & 15)
    codes: Codes = (np.where(pcm < 0, code | 0x80, code) ^ 0xFF).astype(np.uint8)
    return codes


def _pcm_to_alaw() -> Codes:
    pcm = _every_pcm() >> 4
    magnitude = np.where(pcm < 0, ~pcm, pcm)
    segment = np.maximum(np.frexp(magnitude)[1] - 4, 0)
    code = segment << 4 | (magnitude >> np.maximum(segment - 1, 0) & 15)
    codes: Codes = (np.where(pcm < 0, code, code | 0x80) ^ _ALAW_EVEN_BITS).astype(np.uint8)
    return codes


def _frozen(table: npt.NDArray[np.generic]) -> None:
    table.flags.writeable = False


ULAW_TO_PCM: Final = _ulaw_to_pcm()
ALAW_TO_PCM: Final = _alaw_to_pcm()
PCM_TO_ULAW: Final = _pcm_to_ulaw()
PCM_TO_ALAW: Final = _pcm_to_alaw()
for _table in (ULAW_TO_PCM, ALAW_TO_PCM, PCM_TO_ULAW, PCM_TO_ALAW):
    _frozen(_table)


def ulaw_encode(pcm: Pcm) -> Codes:
    return PCM_TO_ULAW[pcm.view(np.uint16)]


def alaw_encode(pcm: Pcm) -> Codes:
    return PCM_TO_ALAW[pcm.view(np.uint16)]
