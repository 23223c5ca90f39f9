"""The rate of a call's file, decided once, at the answer."""

from collections.abc import Mapping, Sequence
from typing import Final

from mediaproxy.audio.codecs import Coding, coding
from mediaproxy.calls.plane import Codec

FILE_RATES: Final = (8_000, 16_000, 48_000)


def best_rate(legs: Sequence[Mapping[int, Codec]]) -> int:
    """The least rate that keeps all of the best codec that every leg may send. `legs` are what each was
    described with; one of whom nothing is known yet has no say."""
    known = [codings for codings in map(_codings, legs) if codings]
    if not known:
        return FILE_RATES[0]
    common = frozenset.intersection(*known) or frozenset.union(*known)
    wanted = max(one.rate_hz for one in common)
    return next((rate for rate in FILE_RATES if rate >= wanted), FILE_RATES[-1])


def _codings(audio: Mapping[int, Codec]) -> frozenset[Coding]:
    known = (coding(codec.name, codec.clock_hz, codec.channels) for codec in audio.values())
    return frozenset(one for one in known if one is not None)
