import numpy as np

from mediaproxy.audio.tones import Note, melody


def test_a_melody_is_as_long_as_its_notes_and_sounds_at_their_pitch() -> None:
    sound = melody([Note(1000, 0.1), Note(0, 0.05), Note(2000, 0.1)])
    assert len(sound) == 2000
    for part, pitch_hz in ((sound[:800], 1000), (sound[1200:], 2000)):
        spectrum = np.abs(np.fft.rfft(part))
        assert np.argmax(spectrum) * 8000 / len(part) == pitch_hz
    assert not sound[800:1200].any()


def test_notes_begin_and_end_without_a_click() -> None:
    sound = melody([Note(700, 0.08)], amplitude=8000).astype(int)
    assert abs(sound[0]) < 200
    assert abs(sound[-1]) < 200
    assert 7000 < np.abs(sound).max() <= 8000
