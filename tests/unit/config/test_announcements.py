"""Announcements in the configuration: what is meant, and what could not be played."""

import wave
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.calls.model import Addressed, Announcement
from mediaproxy.config import Severity, check, load, plan
from mediaproxy.errors import Unavailable
from mediaproxy.service.sound_files import load_sounds
from mediaproxy.service.sounds import Sounds

ROUTE = """
[[agents]]
name = "alice"
contact = "sip:alice@192.0.2.1"
[[routes]]
from = "agent:*"
to = "*"
agent = "alice"
"""
REQUIRED = '[recording]\nconsent = "required"\nannouncement = {file = "hello.wav", '
REMINDED = 'reminder = "beep", reminder_every_s = 15}\n'


def write_wav(path: Path, pcm: np.ndarray, rate: int = 8_000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.astype("<i2").tobytes())


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mediaproxy.toml"
    file.write_text(text)
    write_wav(tmp_path / "hello.wav", np.full(800, 1_000))
    write_wav(tmp_path / "silent.wav", np.zeros(800))
    (tmp_path / "text.wav").write_text("no sound")
    return file


def errors(file: Path) -> list[str]:
    return [str(one) for one in check(load(file), str(file)) if one.severity is Severity.ERROR]


def test_a_route_says_only_what_differs(tmp_path: Path) -> None:
    own = 'announcement = {to = "carrier"}\n'
    made = plan(load(written(tmp_path, REQUIRED + REMINDED + ROUTE + own)))
    hello = str(tmp_path / "hello.wav")
    assert made.recording.consent_required
    assert made.recording.announcement == Announcement(hello, Addressed.BOTH, "beep", 15.0)
    [route] = made.routes
    policy = route.overrides.over(made.recording)
    assert policy.consent_required
    assert policy.announcement == Announcement(hello, Addressed.CARRIER, "beep", 15.0)


def test_a_route_may_need_no_consent(tmp_path: Path) -> None:
    default = '[recording]\nconsent = "required"\nannouncement = {file = "beep"}\n'
    made = plan(load(written(tmp_path, default + ROUTE + 'consent = "none"\n')))
    assert made.recording.consent_required
    assert not made.routes[0].overrides.over(made.recording).consent_required


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[recording]\nconsent = "required"\n', "recording.consent = required: there is no announcement"),
        (
            '[recording]\nannouncement = {file = "beep"}\n'
            + ROUTE
            + 'consent = "required"\nannouncement = {file = ""}\n',
            "routes[0].consent = required: there is no announcement",
        ),
        ('[recording]\nannouncement = {file = "none.wav"}\n', "No such file or directory; name a WAV"),
        ('[recording]\nannouncement = {file = "silent.wav"}\n', "nothing is to be heard in it"),
        ('[recording]\nannouncement = {file = "text.wav"}\n', "no WAV file that can be decoded"),
        (
            '[recording]\nannouncement = {file = "beep", reminder = "text.wav", reminder_every_s = 9}\n',
            "recording.announcement.reminder = ",
        ),
        (ROUTE + 'announcement = {file = "text.wav"}\n', "routes[0].announcement.file = "),
    ],
)  # fmt: skip
def test_what_could_not_be_played_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    [error] = errors(written(tmp_path, text))
    assert said in error


def test_a_good_one_is_none(tmp_path: Path) -> None:
    assert errors(written(tmp_path, REQUIRED + REMINDED)) == []


@pytest.mark.parametrize("every", ["", ", reminder_every_s = 1"])
def test_a_reminder_comes_now_and_then(tmp_path: Path, every: str) -> None:
    file = written(tmp_path, f'[recording]\nannouncement = {{reminder = "beep"{every}}}\n')
    with pytest.raises(Exception, match="reminder_every_s is at least 5"):
        load(file)


def test_sounds_are_decoded_once_and_stay(tmp_path: Path) -> None:
    config = load(written(tmp_path, '[recording]\nannouncement = {file = "hello.wav"}\n'))
    sounds = Sounds(load_sounds(config))
    hello = sounds.get(str(tmp_path / "hello.wav"))
    assert hello is not None
    assert hello.ticks == 800
    sounds.add({})
    assert sounds.get(hello.name) is hello
    assert sounds.get("beep")
    assert sounds.get("other") is None
    (tmp_path / "hello.wav").unlink()
    with pytest.raises(Unavailable, match=r"hello\.wav: No such file"):
        load_sounds(config)
