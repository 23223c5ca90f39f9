"""The synthetic voice is checked for what makes it speech: rhythm, pauses, pitch, two speakers apart."""

import numpy as np
import pytest

from mediaproxy.audio.voice import HIGH, LOW, Speaker, speak


def pitch_hz(pcm: np.ndarray) -> float:
    """The median over 64 ms windows of the strongest period between 70 and 300 Hz."""
    found = []
    for at in range(0, len(pcm) - 512, 512):
        window = pcm[at : at + 512].astype(float)
        if np.sqrt(np.mean(window**2)) < 800:
            continue
        correlation = np.correlate(window, window, "full")[511:]
        found.append(8000 / (27 + np.argmax(correlation[27:114])))
    return float(np.median(found))


def test_the_same_arguments_give_the_same_samples_and_another_seed_others() -> None:
    assert np.array_equal(speak(LOW, 2.0, seed=3), speak(LOW, 2.0, seed=3))
    assert not np.array_equal(speak(LOW, 2.0, seed=3), speak(LOW, 2.0, seed=4))


@pytest.mark.parametrize("speaker", [LOW, HIGH])
@pytest.mark.parametrize("seconds", [0.02, 1.0, 3.3])
def test_it_is_exactly_as_long_as_asked_and_does_not_clip(speaker: Speaker, seconds: float) -> None:
    pcm = speak(speaker, seconds, seed=1)
    assert pcm.dtype == np.int16
    assert len(pcm) == round(seconds * 8000)
    assert np.abs(pcm.astype(int)).max() <= 12_000


@pytest.mark.parametrize("speaker", [LOW, HIGH])
def test_it_has_the_speakers_pitch(speaker: Speaker) -> None:
    assert pitch_hz(speak(speaker, 6.0, seed=2)) == pytest.approx(speaker.pitch_hz, rel=0.15)


def test_it_has_loud_and_quiet_and_pauses_between_phrases() -> None:
    pcm = speak(LOW, 12.0, seed=5).astype(float)
    level = np.sqrt(np.mean(pcm[: len(pcm) // 160 * 160].reshape(-1, 160) ** 2, axis=1))
    assert 0.05 < np.mean(level == 0) < 0.4
    assert level.max() > 3000
