"""From one sample rate to another: a polyphase FIR filter of linear phase.

Sample j of the result is the sound at j / out_hz of the source, exactly: the filter's delay is taken
out, so what was at a position stays there. The price is that a stream's last samples (4 ms at 8 kHz)
wait for what follows; when nothing does, `flush` gives them as if silence followed. Packet for packet it
gives what it was given, without bursts. Ours rather than FFmpeg's, which gives no word on where a sample
lies after a gap, and costs more a packet.

Windowed sinc (Kaiser): 64 taps at the lower of both rates, 80 dB of stop band, flat to 0.42 of that rate.
"""

from functools import lru_cache
from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mediaproxy.audio.g711 import Pcm

Floats = NDArray[np.float32]

REACH: Final = 32  # taps to each side, in samples of the lower rate
_CUTOFF: Final = 0.46  # of the lower rate
_KAISER_BETA: Final = 7.86
_BLOCK: Final = 8_192  # samples of a whole sound that are taken at once


class Resampler:
    """One stream of mono sound; `in_hz` and `out_hz` differ."""

    __slots__ = ("_down", "_known", "_next", "_phases", "_reach", "_tail", "_up")

    def __init__(self, in_hz: int, out_hz: int) -> None:
        self._up, self._down = _ratio(in_hz, out_hz)
        self._phases = _filter(self._up, self._down)
        self._reach = self._phases.shape[1] // 2
        self.reset()

    def reset(self) -> None:
        """What follows begins a sound of its own."""
        self._tail: Floats = np.zeros(self._reach - 1, dtype=np.float32)  # what the next results need
        self._known = 0  # samples taken
        self._next = 0  # the next result

    @property
    def waiting(self) -> bool:
        """Whether results are owed that wait for what follows."""
        return self._next < self._results(self._known)

    def push(self, pcm: Pcm) -> Pcm:
        """Take samples; the results that no later one can change."""
        self._known += len(pcm)
        return self._pull(pcm.astype(np.float32), self._results(self._known - self._reach))

    def flush(self) -> Pcm:
        """The results that are owed, with silence behind; then begin anew."""
        results = self._pull(np.zeros(self._reach, dtype=np.float32), self._results(self._known))
        self.reset()
        return results

    def _results(self, known: int) -> int:
        """How many results lie within so many samples."""
        return -(-known * self._up // self._down) if known > 0 else 0

    def _pull(self, fresh: Floats, until: int) -> Pcm:
        """The results up to `until`. The tail begins with the first sample that the next one looks at."""
        sound = np.concatenate([self._tail, fresh])
        results = self._filtered(sound, max(until - self._next, 0))
        before = self._next * self._down // self._up
        self._next += len(results)
        self._tail = sound[self._next * self._down // self._up - before :]
        return results

    def _filtered(self, sound: Floats, count: int) -> Pcm:
        """`count` results, the first of which looks at the first taps of `sound`."""
        if not count:
            return np.zeros(0, dtype=np.int16)
        taps = self._phases.shape[1]
        step = sound.itemsize
        if self._up == 1:
            windows = np.ndarray((count, taps), np.float32, sound, strides=(self._down * step, step))
            return _rounded(np.dot(windows, self._phases[0]))
        at = np.arange(self._next, self._next + count) * self._down
        rows = at // self._up - at[0] // self._up
        windows = np.ndarray((int(rows[-1]) + 1, taps), np.float32, sound, strides=(step, step))
        if self._down == 1:
            begin = self._next % self._up
            return _rounded(np.dot(windows, self._phases.T).reshape(-1)[begin : begin + count])
        return _rounded(np.einsum("nt,nt->n", windows[rows], self._phases[at % self._up]))


def resample(pcm: Pcm, in_hz: int, out_hz: int) -> Pcm:
    """A whole sound at another rate: ceil(n · out / in) samples."""
    if in_hz == out_hz:
        return pcm
    resampler = Resampler(in_hz, out_hz)
    parts = [resampler.push(pcm[at : at + _BLOCK]) for at in range(0, len(pcm), _BLOCK)]
    return np.concatenate([*parts, resampler.flush()])


def _ratio(in_hz: int, out_hz: int) -> tuple[int, int]:
    common = gcd(in_hz, out_hz)
    return out_hz // common, in_hz // common


@lru_cache(maxsize=64)
def _filter(up: int, down: int) -> Floats:
    """`[phase, tap]`: the weights of the samples around a result that lies `phase / up` behind one.

    Each phase sums to one, so that a constant stays what it was.
    """
    slower = max(1.0, down / up)  # how many samples one of the lower rate lasts
    reach = int(np.ceil(REACH * slower))
    distance = np.arange(1 - reach, reach + 1) - np.arange(up)[:, None] / up
    cutoff = 2 * _CUTOFF / slower
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(1 - (distance / reach) ** 2, 0)))
    weights = np.sinc(cutoff * distance) * window
    table: Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    table.flags.writeable = False
    return table


def _rounded(sound: Floats) -> Pcm:
    return np.clip(np.rint(sound), -32_768, 32_767).astype(np.int16)
