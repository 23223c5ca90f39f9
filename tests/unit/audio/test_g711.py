"""G.711 against the ITU's own sweep of all 65,536 inputs, and against its defining properties."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.audio import g711

LAWS = [
    pytest.param(g711.ulaw_encode, g711.ULAW_TO_PCM, "sweep-r.u", "sweep-r.u-u", id="ulaw"),
    pytest.param(g711.alaw_encode, g711.ALAW_TO_PCM, "sweep-r.a", "sweep-r.a-a", id="alaw"),
]
Encode = Callable[[g711.Pcm], g711.Codes]


@pytest.mark.parametrize(("encode", "table", "codes", "decoded"), LAWS)
def test_every_input_gives_the_itu_code_and_every_code_the_itu_sample(
    encode: Encode, table: g711.Pcm, codes: str, decoded: str, corpora_path: Path
) -> None:
    folder = corpora_path / "codec-vectors" / "g711"
    source = np.fromfile(folder / "sweep.src", "<i2")
    expected = np.fromfile(folder / codes, "<u2")
    assert len(source) == 65_536
    assert np.array_equal(encode(source), expected)
    assert np.array_equal(table[expected], np.fromfile(folder / decoded, "<i2"))


@pytest.mark.parametrize(("encode", "table", "codes", "decoded"), LAWS)
def test_a_decoded_code_encodes_to_itself(encode: Encode, table: g711.Pcm, codes: str, decoded: str) -> None:
    again = encode(table)
    # µ-law has two zeros: 0x7F and 0xFF both decode to 0.
    assert np.array_equal(table[again], table)
    assert np.count_nonzero(again != np.arange(256)) <= 1


def test_silence_is_silent() -> None:
    assert g711.ULAW_TO_PCM[0xFF] == 0
    assert abs(int(g711.ALAW_TO_PCM[0xD5])) == 8  # A-law has no zero


def test_the_tables_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        g711.ULAW_TO_PCM[0] = 1
