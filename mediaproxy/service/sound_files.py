"""The sounds that the configuration names, decoded once: at the start and at each reload."""

from pathlib import Path

from mediaproxy.audio.sound import Sound
from mediaproxy.audio.soundfile import BadSound, read_sound
from mediaproxy.config import Config
from mediaproxy.config.check import sound_files
from mediaproxy.errors import Unavailable


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
