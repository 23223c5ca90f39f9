"""The sounds that the configuration names, decoded once: at the start and at each reload."""

from collections.abc import Mapping
from pathlib import Path

from mediaproxy.audio.sound import RATES_HZ, Sound
from mediaproxy.audio.soundfile import BadSound, read_sound
from mediaproxy.audio.tones import Note, melody
from mediaproxy.calls.model import BEEP
from mediaproxy.config import Config
from mediaproxy.config.check import sound_files
from mediaproxy.errors import Unavailable

BEEP_NOTE = Note(1_400, 0.4)


class Sounds:
    """By the name that a policy has for them. What a reload no longer names stays: live calls may."""

    def __init__(self, loaded: Mapping[str, Sound]) -> None:
        self._by_name = {BEEP: _beep(), **loaded}

    def add(self, loaded: Mapping[str, Sound]) -> None:
        self._by_name.update(loaded)

    def get(self, name: str) -> Sound | None:
        return self._by_name.get(name)


def load_sounds(config: Config) -> dict[str, Sound]:
    """Blocking. Raises Unavailable: the file was good when the configuration was checked."""
    return {name: _load(name) for _, name in sound_files(config)}


def _load(name: str) -> Sound:
    try:
        return read_sound(name, Path(name).read_bytes())
    except OSError as error:
        raise Unavailable(f"{name}: {error.strerror}; name a WAV that can be read") from None
    except BadSound as error:
        raise Unavailable(f"{name}: {error}; name another WAV") from None


def _beep() -> Sound:
    return Sound(BEEP, {rate_hz: melody([BEEP_NOTE], rate_hz) for rate_hz in RATES_HZ})
