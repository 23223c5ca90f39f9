"""What is searched for: a signal and a number, in every form in which they could have been kept.

A needle is a piece of 16 samples: one 20 ms packet holds each of them, and by chance none occurs.
"""

import random
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mediaproxy.audio.g711 import ULAW_TO_PCM, alaw_encode
from mediaproxy.rtp.events import DIGITS

PACKET_SAMPLES = 160
PIECE_SAMPLES = 16
PIECES_AT = (0, 56, 96, 144)  # for the plain forms; a packet that was cut still holds one
CODED_AT = (24, 120)  # for text forms
STEREO_SAMPLES = 8
NUMBER_DIGITS = 16
SILENT_CODES = (0x7F, 0xFF)

Pattern = bytes | re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Needle:
    """`form` says in words what was found when `pattern` was."""

    form: str
    pattern: Pattern


def signal(seed: str) -> bytes:
    """20 ms of random µ-law without a silent sample; the same for the same seed."""
    chance = random.Random(seed)
    spoken = [code for code in range(256) if code not in SILENT_CODES]
    return bytes(chance.choices(spoken, k=PACKET_SAMPLES))


def number(seed: str) -> str:
    """Digits as of a card, no two neighbours alike."""
    chance, digits = random.Random(seed), ""
    while len(digits) < NUMBER_DIGITS:
        digits += chance.choice([digit for digit in DIGITS[:10] if not digits.endswith(digit)])
    return digits


def audio_needles(name: str, ulaw: bytes) -> list[Needle]:
    """The signal as G.711, as linear PCM in one channel or one of two, and these as base64 and hex."""
    return [
        *(Needle(f"{name} as {form}", piece) for at in PIECES_AT for form, piece in _plain(ulaw, at)),
        *stereo_needles(name, ulaw),
        *(
            Needle(f"{name} as {form} in {text}", coded)
            for at in CODED_AT
            for form, piece in _plain(ulaw, at)
            for text, coded in _texts(piece)
        ),
    ]


def stereo_needles(name: str, ulaw: bytes) -> list[Needle]:
    """The signal in one channel of 16-bit PCM, whatever the other one holds."""
    pcm = _pcm(ulaw)
    found = []
    for at in PIECES_AT:
        samples = [re.escape(pcm[n : n + 2]) for n in range(2 * at, 2 * (at + STEREO_SAMPLES), 2)]
        found.append(Needle(f"{name} as stereo PCM", re.compile(b"..".join(samples), re.DOTALL)))
    return found


def number_needles(name: str, digits: str) -> list[Needle]:
    """The digits written one after the other: as text, as a list, as the codes of RFC 4733."""
    texts = [separator.join(digits) for separator in ("", " ", "-", ",", ", ", "\n", "', '", '", "', '","')]
    found = [Needle(f"{name} as text", text.encode()) for text in texts]
    found.append(Needle(f"{name} as UTF-16", digits.encode("utf-16-le")))
    found.append(Needle(f"{name} as UTF-32", digits.encode("utf-32-le")))
    found.append(Needle(f"{name} as event codes", bytes(DIGITS.index(digit) for digit in digits)))
    return found


def digit_needles() -> list[Needle]:
    """A single digit with its name, as a log or a trace would write it: for files alone."""
    named = rb"""(?i)\b(?:digits?|signal|dialled)["']?\s{0,2}[=:]\s{0,2}"""
    return [Needle("a digit with its name", re.compile(named + rb"""["']?[0-9*#A-D]{1,16}["'\s,;}]"""))]


def _plain(ulaw: bytes, at: int) -> Iterator[tuple[str, bytes]]:
    piece = ulaw[at : at + PIECE_SAMPLES]
    pcm = ULAW_TO_PCM[np.frombuffer(piece, dtype=np.uint8)]
    yield "µ-law", piece
    yield "A-law", alaw_encode(pcm).tobytes()
    yield "PCM", _pcm(piece)


def _texts(piece: bytes) -> Iterator[tuple[str, bytes]]:
    for phase in range(3):
        first, last = -(-phase * 8 // 6), (phase + len(piece)) * 8 // 6
        coded = b64encode(bytes(phase) + piece)[first:last]
        yield "base64", coded
        yield "base64", coded.translate(bytes.maketrans(b"+/", b"-_"))
    yield "hex", piece.hex().encode()
    yield "hex", piece.hex().upper().encode()


def _pcm(ulaw: bytes) -> bytes:
    return ULAW_TO_PCM[np.frombuffer(ulaw, dtype=np.uint8)].astype("<i2").tobytes()
