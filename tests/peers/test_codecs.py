"""Calls in G.722, Opus, L16 and G.711 through the real proxy, recorded at every file rate."""

import asyncio
import wave

import numpy as np
import pytest

from tests.support.coded_phone import connected, speech_of, sweep
from tests.support.recorded import check_manifest, check_row, check_verified

ON_DEMAND = "+15550100"
PCMU, G722, L16, OPUS = 0, 9, 96, 111
SPOKEN_S = 2.4
SETTINGS = {
    8_000: {G722: 8_000, OPUS: 8_000},
    16_000: {PCMU: 16_000, G722: 16_000, OPUS: 16_000},
    48_000: {PCMU: 48_000, G722: 48_000, OPUS: 48_000},
    "best": {PCMU: 8_000, G722: 16_000, L16: 16_000, OPUS: 48_000},
}


def frames_of(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        return file.getframerate(), frames


def lag_of(track, start, length, reference):
    """Where `length` samples from `start` on lie in the reference, and how alike they are there."""
    part = track[start : start + length].astype(float)
    size = 1 << (len(reference) + length).bit_length()
    spectrum = np.fft.rfft(reference, size) * np.conj(np.fft.rfft(part, size))
    products = np.fft.irfft(spectrum, size)[: len(reference) - length + 1]
    squares = np.concatenate([[0.0], np.cumsum(reference.astype(float) ** 2)])
    energy = np.sqrt((squares[length:] - squares[:-length])[: len(products)] * (part**2).sum()) + 1e-9
    best = int((products / energy).argmax())
    return best, float((products / energy)[best])


def check_track(track, span, speech, rate):
    """Silence outside; inside the reference decoding, sample by sample, at one constant offset.

    A decoder begins anew at an opening: the reference is that of the packets from there on.
    """
    start, end = span
    assert not track[:start].any()
    assert not track[end:].any()
    lag, likeness = lag_of(track, start + rate // 10, rate // 10, speech.reference(rate))
    assert likeness > 0.9
    offset = start + rate // 10 - lag
    first = (start - offset) // (rate // 50)
    reference = speech.reference(rate, first)
    settled = rate // 20  # at the edge a filter and a decoder see less than all
    inside = slice(start + settled, end - settled)
    apart = [
        np.abs(track[inside].astype(int) - reference[inside.start - at : inside.stop - at]).max()
        for at in range(offset - 2, offset + 3)
    ]
    assert min(apart) <= 2, apart


async def recorded_call(server, carrier, alice, api, payload_type):
    """Both speak for 2.4 s; recording is on in the middle. The row and what was said."""
    pair = await connected(carrier, alice, ON_DEMAND, [payload_type, PCMU], [payload_type])
    call = (await api.call_of(pair.caller.call_id))["id"]
    said = [
        speech_of(carrier, payload_type, sweep(payload_type, SPOKEN_S, 300, 2_800), 0xA0 + payload_type),
        speech_of(alice, payload_type, sweep(payload_type, SPOKEN_S, 2_900, 400), 0xB0 + payload_type),
    ]
    talking = [asyncio.create_task(one.say()) for one in said]
    await asyncio.sleep(0.5)
    start = (await api.toggle(call, "start"))["effective_sample"]
    await asyncio.sleep(1.2)
    stop = (await api.toggle(call, "stop"))["effective_sample"]
    await asyncio.gather(*talking)
    await pair.hang_up()
    return await api.ended(call), (start, stop), said


@pytest.mark.parametrize("setting", SETTINGS)
async def test_every_codec_is_in_the_file_at_the_rate_that_was_asked_for(make_proxy, casts, setting):
    server = make_proxy({"recording.sample_rate": setting})
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    for payload_type, rate in SETTINGS[setting].items():
        row, span, said = await recorded_call(server, carrier, alice, api, payload_type)
        recording = row["recording"]
        assert (recording["result"], recording["reasons"], recording["sample_rate"]) == ("complete", [], rate)
        assert check_row(row, rate) == [span]
        in_file, frames = frames_of(server.published(recording["id"]))
        assert (in_file, len(frames)) == (rate, recording["duration_samples"])
        for channel, speech in enumerate(said):
            check_track(frames[:, channel], span, speech, rate)
        manifest = check_manifest(server, row)
        assert {stream["codec"] for stream in manifest["streams"]} <= {"PCMU", "G722", "L16", "OPUS"}
        check_verified(server, row)


async def test_relayed_packets_are_what_was_sent_whatever_the_codec(make_proxy, casts):
    server = make_proxy({"recording.sample_rate": "best", "recording.policy": "automatic"})
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    await recorded_call(server, carrier, alice, api, OPUS)
    for sender, receiver in ((carrier, alice), (alice, carrier)):
        assert [kept.raw for kept in sender.media.sent] == [kept.raw for kept in receiver.media.received]
