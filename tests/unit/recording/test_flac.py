"""What stands before the first FLAC frame."""

import struct

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.recording import flac
from mediaproxy.recording.flac import SeekPoint, StreamInfo
from mediaproxy.recording.manifest import Actor
from tests.support.masters import identity_of
from tests.support.recordings import interval

INFO = StreamInfo(8_000, 200_000, 576, 14, 1_234, bytes(range(16)))
POINTS = [SeekPoint(0, 0, 576), SeekPoint(80_064, 4_000, 576), SeekPoint(160_128, 9_000, 576)]


def blocks(head: bytes) -> list[tuple[int, bytes]]:
    assert head[:4] == b"fLaC"
    found, at = [], 4
    while True:
        (word,) = struct.unpack_from(">I", head, at)
        length = word & 0xFFFFFF
        found.append((word >> 24 & 0x7F, head[at + 4 : at + 4 + length]))
        at += 4 + length
        if word >> 31:
            assert at == len(head)
            return found


@pytest.mark.parametrize(
    "info",
    [
        INFO,
        StreamInfo(48_000, (1 << 36) - 1, 4_608, 0xFFFFFF, 0xFFFFFF, b"\xff" * 16),
        StreamInfo(16_000, 0, 1_152, 0, 0, bytes(16)),
    ],
)
def test_the_stream_info_reads_back(info: StreamInfo) -> None:
    if info.frames < 1 << 30:  # the seek table of 16 days is not needed here
        assert flac.parse(flac.head(info, (), ())) == info
    else:
        packed = flac._block(0, flac._stream_info(info))
        assert flac.parse(flac.MAGIC + packed) == info


def test_the_head_is_as_long_before_the_first_frame_as_after_the_last() -> None:
    said = flac.comments(identity_of(), [interval(32_000, 48_000)], 200_000)
    blank = StreamInfo(8_000, 200_000, 0, 0, 0, bytes(16))
    assert len(flac.head(blank, (), said)) == len(flac.head(INFO, POINTS, said))


def test_there_is_a_place_to_seek_every_ten_seconds() -> None:
    (_, (kind, seeks), _) = blocks(flac.head(INFO, POINTS[:2], ["A=1"]))
    assert (kind, len(seeks)) == (3, 3 * 18)
    assert struct.unpack_from(">QQH", seeks, 18) == (80_064, 4_000, 576)
    assert struct.unpack_from(">QQH", seeks, 36)[0] == (1 << 64) - 1  # a placeholder (RFC 9639 8.5)
    assert flac.seek_places(8_000, 80_000) == 1
    assert flac.seek_places(8_000, 80_001) == 2


def test_the_comments_tell_whose_it_is_and_who_recorded_when() -> None:
    spans = [
        interval(32_000, 48_000),
        interval(48_000, 50_000, Actor("dtmf", "alice")),
        interval(60_000, 80_000),
    ]
    said = flac.comments(identity_of(), spans, 80_000, master="ab" * 32)
    assert f"RECORDING_ID={identity_of().recording_id}" in said
    assert f"CALL_ID={identity_of().call_id}" in said
    assert "DATE=2026-01-05T10:00:02.500Z" in said
    assert f"COMMENT=master sha256 {'ab' * 32}" in said
    assert "INTERVAL001=32000-48000 recorded by alice (api) until alice (api)" in said
    assert "INTERVAL002=48000-50000 recorded by alice (api) until alice (dtmf)" in said
    assert [each for each in said if each.startswith("CHAPTER")] == [
        "CHAPTER001=00:00:00.000", "CHAPTER001NAME=not recorded",
        "CHAPTER002=00:00:04.000", "CHAPTER002NAME=recorded by alice (api) until alice (api)",
        "CHAPTER003=00:00:06.000", "CHAPTER003NAME=recorded by alice (api) until alice (dtmf)",
        "CHAPTER004=00:00:06.250", "CHAPTER004NAME=not recorded",
        "CHAPTER005=00:00:07.500", "CHAPTER005NAME=recorded by alice (api) until alice (api)",
    ]  # fmt: skip


def test_chapters_have_three_digits_however_many_intervals_there_are() -> None:
    spans = [interval(n * 10, n * 10 + 5) for n in range(2_000)]
    said = flac.comments(identity_of(), spans, 20_000)
    assert sum(each.startswith("CHAPTER") for each in said) == 2 * 999
    assert sum(each.startswith("INTERVAL") for each in said) == 2_000


def test_hours_are_counted_on() -> None:
    late = interval(8_000 * 90_061, 8_000 * 90_062)
    assert "CHAPTER002=25:01:01.000" in flac.comments(identity_of(), [late], 1 << 30)


HEAD = flac.head(INFO, POINTS, ["A=1"])


@pytest.mark.parametrize(
    "head",
    [b"", HEAD[: flac.HEAD_BYTES - 1], b"RIFF" + HEAD[4:], HEAD[:4] + b"\x04" + HEAD[5:],
     HEAD[:20] + bytes([HEAD[20] ^ 0x0E]) + HEAD[21:], HEAD[:18] + bytes(8) + HEAD[26:]],
)  # fmt: skip
def test_what_is_none_of_ours_is_malformed(head: bytes) -> None:
    with pytest.raises(Malformed):
        flac.parse(head)
