"""The sounds that calls may hear of us, by the name that a policy has for them."""

from collections.abc import Mapping

from mediaproxy.audio.sound import RATES_HZ, Sound
from mediaproxy.audio.tones import Note, melody
from mediaproxy.calls.model import BEEP

BEEP_NOTE = Note(1_400, 0.4)


class Sounds:
    """By the name that a policy has for them. What a reload no longer names stays: live calls may."""

    def __init__(self, loaded: Mapping[str, Sound]) -> None:
        self._by_name = {BEEP: _beep(), **loaded}

    @property
    def loaded(self) -> Mapping[str, Sound]:
        """Also those that need no file."""
        return self._by_name

    def add(self, loaded: Mapping[str, Sound]) -> None:
        self._by_name.update(loaded)

    def get(self, name: str) -> Sound | None:
        return self._by_name.get(name)


def _beep() -> Sound:
    return Sound(BEEP, {rate_hz: melody([BEEP_NOTE], rate_hz) for rate_hz in RATES_HZ})
