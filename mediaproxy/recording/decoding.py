"""From a stream's packets to samples of the file, for codecs that remember and for other rates.

Packets wait here, placed and undecoded, until their positions are about to be handed out: then all that
will ever come has come, and they are decoded in the order in which they were spoken. So reordering costs
nothing, a closing in the meantime keeps what is behind it from ever being decoded, and a window holds no
more of such a stream than what is handed out at once.

One `Decoding` serves one stream in one interval: each opening begins with a decoder that heard nothing.
What lies outside the interval is made zero before the filter, so that it can't ring into it, and cut once
more behind the filter, so that nothing rings out of it.
"""

from bisect import insort
from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from mediaproxy.audio.codecs import Coding, Decoder
from mediaproxy.audio.g711 import Pcm
from mediaproxy.audio.resample import Resampler
from mediaproxy.recording.gate import Opening
from mediaproxy.recording.packets import MAX_MISORDER
from mediaproxy.serial import signed_distance

REACH_MS = 5  # how far ahead of what is handed out a filter looks, and a little more
MAX_WAITING = 2_048  # packets; twenty times what is ever waited for


class Cut(NamedTuple):
    """A placed packet: its `samples` of the file begin at `position`, of which `[start, end)` may be kept."""

    order: int  # the unwrapped sequence number
    position: int
    samples: int
    start: int
    end: int
    coding: Coding
    payload: bytes


_ORDER = attrgetter("order")


class Sound(NamedTuple):
    """Samples of the file."""

    position: int
    pcm: Pcm


class _Voice(NamedTuple):
    decoder: Decoder
    resampler: Resampler | None  # None: the decoder gives the file's rate


class Decoding:
    """A stream in an interval; samples come out in the order of the file but for slips."""

    __slots__ = (
        "_at", "_began", "_coding", "_end", "_rate", "_reach", "_spoken", "_voice", "_voices", "_waiting",
        "faults", "late", "opening",
    )  # fmt: skip

    def __init__(self, opening: Opening, rate: int) -> None:
        self.opening = opening
        self.faults = 0  # payloads that could not be decoded
        self.late = 0  # packets that came after their successors were decoded, and too many at once
        self._rate = rate
        self._reach = REACH_MS * rate // 1000
        self._waiting: list[Cut] = []
        self._spoken: int | None = None  # `order` of the newest packet that was decoded
        self._voices: dict[Coding, _Voice] = {}
        self._voice: _Voice | None = None
        self._coding: Coding | None = None
        self._began = 0  # the order of the sequence number 0
        self._end = 0  # of the newest packet that was decoded
        self._at = 0  # where the next sample goes

    @property
    def decoded(self) -> int:
        """Up to here a filter knows the sound already: what is cut off now may have rung into what stays."""
        filtered = self._voice is not None and self._voice.resampler is not None
        return self._end if filtered and self._spoken is not None else 0

    @property
    def is_idle(self) -> bool:
        """Whether all that it was given was decoded and handed on."""
        owes = self._voice is not None and self._voice.resampler is not None and self._voice.resampler.waiting
        return not self._waiting and not owes

    def receive(
        self, seq: int, position: int, samples: int, start: int, end: int, coding: Coding, payload: bytes
    ) -> None:
        """Take a placed packet. Each comes once."""
        order = self._order(seq)
        if len(self._waiting) >= MAX_WAITING or (self._spoken is not None and order <= self._spoken):
            self.late += 1
            return
        insort(self._waiting, Cut(order, position, samples, start, end, coding, payload), key=_ORDER)

    def pour(self, until: int) -> Iterator[Sound]:
        """Everything before `until`, which nothing can change any more."""
        due = 0
        while due < len(self._waiting) and self._waiting[due].position < until + self._reach:
            yield from self._decode(self._waiting[due])
            due += 1
        del self._waiting[:due]
        if self._at < until:
            yield from self._rest()

    def _order(self, seq: int) -> int:
        known = self._waiting[-1].order if self._waiting else self._spoken
        if known is None:
            return seq
        ahead = signed_distance((known - self._began) & 0xFFFF, seq, bits=16)
        if abs(ahead) > MAX_MISORDER:  # the sender began anew, or next to nothing of it came
            ahead = MAX_MISORDER + 1
            self._began = known + ahead - seq
        return known + ahead

    def _decode(self, cut: Cut) -> Iterator[Sound]:
        end = cut.end if self.opening.end is None else min(cut.end, self.opening.end)
        if cut.start >= end:
            return  # closed since: never heard
        shift = cut.position - self._end
        if cut.coding != self._coding or abs(shift) > 1:
            yield from self._rest()
            self._change(cut.coding)
            self._at = cut.position
            shift = 0
        self._spoken, self._end = cut.order, cut.position + cut.samples
        assert self._voice is not None
        faults = self._voice.decoder.faults
        pcm = self._voice.decoder.decode(cut.payload)
        self.faults += self._voice.decoder.faults - faults
        yield from self._placed(self._filtered(self._kept(pcm, cut, end)), shift)

    def _kept(self, pcm: Pcm, cut: Cut, end: int) -> Pcm:
        """Zeros in place of what lies outside the interval."""
        whole = cut.start <= cut.position and end >= cut.position + cut.samples
        if whole or self._voice is None:
            return pcm
        rate = self._voice.decoder.rate_hz
        first, last = (-((cut.position - at) * rate // self._rate) for at in (cut.start, end))
        pcm = pcm.copy()
        if cut.start > cut.position:
            pcm[:first] = 0
        if end < cut.position + cut.samples:
            pcm[last:] = 0
        return pcm

    def _filtered(self, pcm: Pcm) -> Pcm:
        assert self._voice is not None
        return pcm if self._voice.resampler is None else self._voice.resampler.push(pcm)

    def _placed(self, pcm: Pcm, shift: int) -> Iterator[Sound]:
        """A slip shifts what follows by a sample: the one that is missing then is the next one's double,
        the one that is too many finds its place taken."""
        if not len(pcm):
            self._at += shift
            return
        if shift > 0:
            pcm = np.concatenate([pcm[:1], pcm])
        yield from self._cut(self._at + min(shift, 0), pcm)
        self._at += len(pcm) + min(shift, 0)

    def _rest(self) -> Iterator[Sound]:
        """What the filter owes, as if silence followed."""
        if self._voice is not None and self._voice.resampler is not None and self._voice.resampler.waiting:
            yield from self._placed(self._voice.resampler.flush(), 0)
        self._coding = None  # what follows stands for itself

    def _cut(self, position: int, pcm: Pcm) -> Iterator[Sound]:
        """The part that lies in the interval."""
        first = max(self.opening.start - position, 0)
        last = len(pcm) if self.opening.end is None else min(len(pcm), self.opening.end - position)
        if first < last:
            yield Sound(position + first, pcm[first:last])

    def _change(self, coding: Coding) -> None:
        """Speak another codec, or the same one after a gap, which keeps what its decoder knows."""
        before = self._voice
        if coding not in self._voices:
            decoder = coding.decoder(self._rate)
            filtered = decoder.rate_hz != self._rate
            self._voices[coding] = _Voice(
                decoder, Resampler(decoder.rate_hz, self._rate) if filtered else None
            )
        elif self._voices[coding] is not before:
            self._voices[coding].decoder.reset()
        self._voice, self._coding = self._voices[coding], coding
