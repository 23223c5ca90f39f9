"""The melodies that confirm a toggle."""

from collections.abc import Mapping
from typing import Final

from mediaproxy.audio.sound import RATES_HZ, Sound
from mediaproxy.audio.tones import Note, melody
from mediaproxy.calls import plane

_NOTES: Final = {
    plane.Tone.STARTED: [Note(660, 0.08), Note(880, 0.12)],
    plane.Tone.STOPPED: [Note(880, 0.08), Note(660, 0.12)],
    plane.Tone.REFUSED: [Note(330, 0.09), Note(0, 0.06), Note(330, 0.09)],
    plane.Tone.WARNING: [Note(880, 0.12), Note(0, 0.08), Note(880, 0.12), Note(0, 0.08), Note(880, 0.12)],
}
TONES: Final[Mapping[plane.Tone, Sound]] = {
    tone: Sound(tone.value, {rate_hz: melody(notes, rate_hz) for rate_hz in RATES_HZ})
    for tone, notes in _NOTES.items()
}
