"""How G.711 carries a sound of ours, and that nothing of what a party said stays in memory for it."""

import os
import subprocess
import sys

import numpy as np
import pytest

from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM, Codes, Pcm, alaw_encode, ulaw_encode
from mediaproxy.calls.plane import Codec
from mediaproxy.media.userspace.voices import voice_of
from mediaproxy.prove.needles import audio_needles, signal
from mediaproxy.prove.search import search_memory
from tests.support.mixing import VEIL

SAID = signal("said while the gate is closed")
MIXES = f"""
import sys
sys.path[:0] = {sys.path!r}
from tests.support.mixing import mix_into_speech
print(mix_into_speech({bytes(code ^ VEIL for code in SAID)!r}), flush=True)
sys.stdin.read()
"""
LAWS = {"PCMU": (ULAW_TO_PCM, ulaw_encode), "PCMA": (ALAW_TO_PCM, alaw_encode)}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("level", [-32_768, -9_000, -1, 0, 1, 700, 32_767])
def test_every_code_is_mixed_and_clipped(law: str, level: int) -> None:
    table, encode = LAWS[law]
    codes: Codes = np.arange(256, dtype=np.uint8)
    wanted: Pcm = np.clip(table[codes].astype(np.int32) + level, -32_768, 32_767).astype(np.int16)
    voice = voice_of(Codec(law, 8_000))
    mixed = voice.over(codes.tobytes(), np.full(256, level, np.int16))
    assert bytes(mixed) == encode(wanted).tobytes()
    voice.forget()
    assert not any(mixed)


@pytest.mark.skipif(os.geteuid() != 0, reason="searching a process's memory takes root")
def test_what_a_sound_was_mixed_into_is_nowhere_in_memory() -> None:
    """The gate is closed, and the agent is warned of a pause meanwhile."""
    child = subprocess.Popen([sys.executable, "-c", MIXES], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout
        assert int(child.stdout.readline()) > 10
        found = search_memory(child.pid, audio_needles("speech", SAID))
        assert [str(hit) for hit in found.hits] == []
    finally:
        child.communicate(timeout=10)
