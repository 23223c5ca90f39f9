"""The peers call each other without the product: what the other tests rely on is true of them."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.baresip import Baresip
from tests.support.proxy import Net, acceptance, changed, to_toml
from tests.support.rtp_oracle import PCMA, PCMU, check_track, expected_track, offset_of, spans_of
from tests.support.sip_wire import split_stream
from tests.support.sipp import Sipp
from tests.support.softphone import Phone, connect
from tests.support.speech import PCMU_FILE, delay_of, share_at, speech_codes, tone, window_likeness


@pytest.mark.parametrize(
    ("law", "decoded", "coded"), [(PCMU, "sweep-r.u-u", "sweep-r.u"), (PCMA, "sweep-r.a-a", "sweep-r.a")]
)
def test_the_decoders_are_the_itu_s(law, decoded, coded, corpora_path):
    folder = corpora_path / "codec-vectors" / "g711"
    codes = np.fromfile(folder / coded, "<u2").astype(np.uint8)
    np.testing.assert_array_equal(law.decode(codes.tobytes()), np.fromfile(folder / decoded, "<i2"))


def test_noise_is_never_silent_and_finds_its_own_place():
    said = PCMU.decode(PCMU.noise(7, 2.0))
    assert not np.any(said == 0)
    track = expected_track(said, 333, 20000)
    track[:8000] = 0
    assert offset_of(track, said, (8000, 16000)) == 333
    assert check_track(track, said, [(8000, 16333)]) == [333]
    assert spans_of(track) == [(8000, 16333)]


@pytest.mark.parametrize("spoil", ["leak", "shift", "hole", "foreign"])
def test_a_spoilt_track_is_seen(spoil):
    said = PCMU.decode(PCMU.noise(7, 2.0))
    track = expected_track(said, 100, 16000)
    track[8000:] = 0
    match spoil:
        case "leak":
            track[8000] = said[7900]
        case "shift":
            track[4000:8000] = said[3899:7899]
        case "hole":
            track[5000:5160] = 0
        case "foreign":
            track[100:8000] = PCMU.decode(PCMU.noise(8, 2.0))[:7900]
    with pytest.raises(AssertionError):
        check_track(track, said, [(0, 8000)])


def test_a_stream_of_messages_is_split_whatever_the_cuts():
    messages = [b"A\r\nContent-Length: 3\r\n\r\nabc", b"B\r\nl: 0\r\n\r\n"]
    whole = messages[0] + b"\r\n\r\n" + messages[1]
    for cut in range(len(whole) + 1):
        buffer, found = bytearray(), []
        for part in (whole[:cut], whole[cut:]):
            buffer += part
            found += split_stream(buffer)
        assert found == messages


def test_a_changed_configuration_reads_back_as_toml(net):
    import tomllib

    config = changed(acceptance(net), {"sip.max_calls": 2, "trunks.0.latch": "always", "database": None})
    assert tomllib.loads(to_toml(config)) == config


async def test_two_telephones_hear_each_other_exactly(net: Net):
    async with (
        Phone("alice", net.alice, net.carrier, seed=2) as alice,
        Phone("carrier", net.carrier, net.alice, seed=1) as carrier,
    ):
        pair = await connect(carrier, alice, "+15550100")
        await asyncio.sleep(0.4)
        await alice.media.dial("5")
        await asyncio.sleep(0.2)
        await pair.hush()
        await asyncio.sleep(0.05)
        await pair.hang_up()
        assert [k.raw for k in alice.media.received] == [k.raw for k in carrier.media.sent]
        assert [k.raw for k in carrier.media.received] == [k.raw for k in alice.media.sent]
        assert sum(p.payload_type == 101 for p in carrier.media.heard()) == 8


async def test_sipp_plays_speech_and_echoes_it(
    net: Net, tmp_path: Path, corpora_path: Path, needs_sipp: None
):
    shutil.copy(corpora_path / PCMU_FILE, tmp_path / "speech.ul")
    agent = Sipp(tmp_path, "uas_answer", net.alice, echo=True)
    carrier = Sipp(
        tmp_path, "uac_speak", net.carrier, net.alice, keys={"from_user": "carrier"}, options=("-d", "500")
    )
    async with agent:
        assert (await carrier.run()).successful == 1
        assert (await agent.finish()).successful == 1


async def test_a_failed_sipp_call_tells_why(net: Net, tmp_path: Path, needs_sipp: None):
    (tmp_path / "speech.ul").write_bytes(PCMU.noise(1, 1.0))
    calling = Sipp(tmp_path, "uac_speak", net.carrier, net.alice, keys={"from_user": "x"})
    async with Phone("alice", net.alice, net.carrier) as alice, calling as carrier:
        call = await alice.ring(status=None)
        call.reply(call.invite, 486)
        await call.expect("ACK")
        with pytest.raises(AssertionError, match="486 Busy"):
            await carrier.finish()


async def test_baresip_hears_what_was_said(
    net: Net, tmp_path: Path, corpora_path: Path, rtp_range: Callable[[], int], needs_baresip: None
):
    words = PCMU.decode(speech_codes(corpora_path, 10, 20))
    hum = tone(440, 20)
    async with (
        Baresip(tmp_path / "a", "alice", net.alice, hum, rtp_range()) as alice,
        Baresip(tmp_path / "c", "carrier", net.carrier, words, rtp_range()) as carrier,
    ):
        await carrier.command("dial", f"sip:alice@{net.alice[0]}:{net.alice[1]}")
        await carrier.event("CALL_ESTABLISHED")
        await asyncio.sleep(2.5)
        await carrier.command("hangup")
        await alice.event("CALL_CLOSED")
        likeness = window_likeness(alice.heard(), words)
        assert len(likeness) >= 2
        assert np.median(likeness) > 0.95
        assert share_at(carrier.heard()[8000:16000], 440) > 0.95
    assert max(window_likeness(hum[:16000], words)) < 0.6


def test_a_delay_is_found():
    said = PCMU.decode(PCMU.noise(3, 1.0)).astype(np.float64)
    assert delay_of(np.concatenate((np.zeros(123), said)), said) == 123
