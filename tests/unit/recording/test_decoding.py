"""Every codec at every file rate through the recorder, against the reference decoding."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from mediaproxy.audio.g711 import Pcm
from mediaproxy.audio.g722 import G722Decoder
from mediaproxy.calls.model import Policy
from mediaproxy.recording.decoding import Decoding
from mediaproxy.recording.gate import Opening
from mediaproxy.recording.states import Action
from tests.support.coded_calls import CODECS, USER, CodedCall, Sent, chirp, coding_of, heard, speech

RATES = [8_000, 16_000, 48_000]
SPOKEN_S = 1.2
END_MS = 1_300


def spoken(payload_type: int, seconds: float = SPOKEN_S, ptime_ms: int = 20) -> list[Sent]:
    return speech(payload_type, chirp(coding_of(payload_type).rate_hz, seconds), ptime_ms)


def ptime_of(payload_type: int) -> int:
    """What fits into a packet."""
    codec = CODECS[payload_type]
    return 20 if codec.name != "L16" else 5 if codec.channels == 2 else 10


def same(file: Pcm, reference: Pcm, rate: int, *, but: int = 0) -> None:
    """Equal but for the rounding of a filter that was fed in other portions."""
    assert len(file) == len(reference)
    apart = np.abs(file.astype(np.int32) - reference)
    assert int(np.count_nonzero(apart > 1)) <= but, np.flatnonzero(apart > 1)[:10] / rate


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("payload_type", CODECS)
def test_the_file_holds_the_reference_decoding(payload_type: int, rate: int) -> None:
    packets = spoken(payload_type, ptime_ms=ptime_of(payload_type))
    finished, file = CodedCall(rate).record(packets, END_MS)
    reference = heard(packets, rate)
    # A packet of 44.1 kHz does not last a whole number of samples: it lies within three of its place.
    begins = int(np.flatnonzero(file[:, 0])[0] - np.flatnonzero(reference)[0])
    assert 0 <= begins <= (3 if payload_type == 10 else 0)
    same(file[begins : begins + len(reference), 0], reference, rate)
    assert not file[begins + len(reference) :].any()
    assert not file[:, 1].any()
    assert finished.reasons == ()
    assert finished.streams[0].codec == CODECS[payload_type].name
    assert finished.duration_samples == END_MS * rate // 1000


@pytest.mark.parametrize("ptime_ms", [10, 40, 60])
@pytest.mark.parametrize("payload_type", [9, 111])
def test_packets_of_any_length(payload_type: int, ptime_ms: int) -> None:
    packets = spoken(payload_type, ptime_ms=ptime_ms)
    _, file = CodedCall(16_000).record(packets, END_MS)
    reference = heard(packets, 16_000)
    same(file[: len(reference), 0], reference, 16_000)


@pytest.mark.parametrize("rate", [8_000, 16_000])
@pytest.mark.parametrize("payload_type", [9, 111])
def test_reordering_costs_nothing(payload_type: int, rate: int) -> None:
    packets = spoken(payload_type)
    reordered = [
        replace(packet, arrives_ms=packet.arrives_ms + (75 if number % 5 == 2 else 0))
        for number, packet in enumerate(packets)
    ]
    finished, file = CodedCall(rate).record(reordered, END_MS)
    reference = heard(packets, rate)
    same(file[: len(reference), 0], reference, rate)
    assert finished.streams[0].reordered > 5
    assert finished.streams[0].late == 0


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("payload_type", [0, 9, 96])
def test_what_is_lost_is_zero_and_moves_nothing(payload_type: int, rate: int) -> None:
    """Three packets at 400 ms; a filter rings 4 ms into the hole from both sides, and no further."""
    packets = spoken(payload_type)
    _, file = CodedCall(rate).record(packets[:20] + packets[23:], END_MS)
    ms = rate // 1000
    assert not file[405 * ms : 455 * ms].any()
    reference = heard(packets, rate)
    same(file[: 395 * ms, 0], reference[: 395 * ms], rate)
    if payload_type != 9:  # an adaptive codec needs a while to find back
        same(file[465 * ms : 1_195 * ms, 0], reference[465 * ms : 1_195 * ms], rate)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("payload_type", CODECS)
def test_no_sample_outside_the_interval_and_nothing_of_what_was_said_there(
    payload_type: int, rate: int
) -> None:
    """The edges cut packets at odd places. What is said outside is as loud as can be, what is said inside is
    silence: any sample but the codec's own silence has leaked, in either direction."""
    starts, stops = 407, 893
    coding = coding_of(payload_type)
    sound = (
        np.random.default_rng(3).integers(-30_000, 30_000, round(coding.rate_hz * SPOKEN_S)).astype(np.int16)
    )
    sound[starts * coding.rate_hz // 1000 : stops * coding.rate_hz // 1000 + 1] = 0
    plan = [(starts, Action.START), (stops, Action.STOP)]
    call = CodedCall(rate, plan, Policy.ON_DEMAND, tick_ms=1)
    finished, file = call.record(speech(payload_type, sound, ptime_of(payload_type)), END_MS)
    interval = finished.intervals[0]
    assert (interval.start_sample, interval.end_sample) == (starts * rate // 1000, stops * rate // 1000)
    assert not file[: interval.start_sample].any()
    assert not file[interval.end_sample :].any()
    # Codecs with a memory have a tail of their own; 44.1 kHz stereo lies where it may (see above).
    if coding.name in ("PCMU", "PCMA", "L16") and payload_type != 10:
        assert int(np.abs(file).max()) <= 10  # A-law has no zero


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("payload_type", [0, 9, 96])
def test_the_edges_are_exact(payload_type: int, rate: int) -> None:
    """Loud all the time: the first and last samples that are not zero are the interval's."""
    coding = coding_of(payload_type)
    sound = 9_000 * np.sin(
        2 * np.pi * 1_000 * np.arange(round(coding.rate_hz * SPOKEN_S)) / coding.rate_hz + 1
    )
    starts, stops = 407, 893
    call = CodedCall(rate, [(starts, Action.START), (stops, Action.STOP)], Policy.ON_DEMAND, tick_ms=1)
    finished, file = call.record(speech(payload_type, sound.astype(np.int16)), END_MS)
    interval, loud = finished.intervals[0], np.flatnonzero(file[:, 0])
    slack = rate // 1000
    assert interval.start_sample <= loud[0] <= interval.start_sample + slack
    assert interval.end_sample - slack <= loud[-1] < interval.end_sample


def test_each_opening_begins_with_a_decoder_that_heard_nothing() -> None:
    """Two intervals; what was said in the first and between them changes nothing in the second."""
    first, second = spoken(9), spoken(9)
    shouted = speech(9, np.random.default_rng(5).integers(-30_000, 30_000, 16_000).astype(np.int16))
    plan = [(100, Action.START), (300, Action.STOP), (500, Action.START)]
    quiet = CodedCall(16_000, plan, Policy.ON_DEMAND, tick_ms=10).record(first, END_MS)[1]
    loud = CodedCall(16_000, plan, Policy.ON_DEMAND, tick_ms=10).record(shouted[:24] + second[24:], END_MS)[1]
    assert quiet[500 * 16 : 540 * 16].any()
    np.testing.assert_array_equal(quiet[520 * 16 :], loud[520 * 16 :])


@pytest.mark.parametrize("rate", RATES)
def test_a_codec_switch_stays_on_the_clock(rate: int) -> None:
    """G.711 for half a second, then G.722 with the same clock, timestamps going on."""
    before = speech(0, chirp(8_000, 0.6))
    after = speech(9, chirp(16_000, 0.6), at_ms=600, seq=31)
    _, file = CodedCall(rate).record(before + after, END_MS)
    half = 600 * rate // 1000
    edge = 5 * rate // 1000  # where one filter ends and the other begins
    same(file[: half - edge, 0], heard(before, rate)[: half - edge], rate)
    same(file[half + edge : 2 * half, 0], heard(after, rate)[edge:], rate)


def test_a_codec_that_comes_and_goes_with_every_packet_is_survived() -> None:
    packets = [
        replace(packet, timestamp=7_000 + number * 160, seq=number, arrives_ms=20 * (number + 1))
        for number, packet in enumerate(
            packet for pair in zip(speech(0, chirp(8_000, 0.6)), speech(9, chirp(16_000, 0.6)), strict=True)
            for packet in pair
        )
    ]  # fmt: skip
    finished, file = CodedCall(16_000).record(packets, END_MS)
    assert finished.reasons == ()
    assert np.count_nonzero(file[: 1_190 * 16, 0] == 0) < 400


def test_another_clock_is_another_timeline() -> None:
    """G.711, then Opus of the same SSRC: its timestamps count six times as fast."""
    before = speech(0, chirp(8_000, 0.6))
    after = speech(111, chirp(48_000, 0.6), at_ms=600, seq=31)
    finished, file = CodedCall(16_000).record(before + after, END_MS)
    reference = heard(after, 16_000)
    same(file[600 * 16 + 80 : 1_200 * 16, 0], reference[80:], 16_000)
    assert finished.reasons == ()


def test_bad_payloads_are_silence_with_a_reason() -> None:
    packets = spoken(111)
    packets[30] = replace(packets[30], payload=b"\xf8" + bytes(1_300))  # no frame is so long
    packets[40] = replace(packets[40], payload=b"\x03")
    finished, file = CodedCall(8_000).record(packets, END_MS)
    assert finished.reasons == ("payload_bad",)
    assert not file[600 * 8 : 620 * 8].any()
    assert not file[800 * 8 : 820 * 8].any()
    assert file[620 * 8 : 640 * 8].any()


@pytest.mark.parametrize("anew", [40_000, 2_000, -200, -1_000, -2_999])
def test_a_sender_that_begins_its_numbers_anew_is_still_heard(anew: int) -> None:
    packets = speech(9, chirp(16_000, SPOKEN_S), seq=1_020)
    packets = packets[:30] + [replace(p, seq=(p.seq + anew) & 0xFFFF) for p in packets[30:]]
    finished, file = CodedCall(16_000).record(packets, END_MS)
    reference = heard(packets, 16_000)
    same(file[: len(reference), 0], reference, 16_000)
    assert finished.streams[0].late == 0


def test_what_comes_late_of_the_old_numbers_makes_nothing_late_of_the_new_ones() -> None:
    packets = speech(9, chirp(16_000, SPOKEN_S), seq=1_020)
    packets = packets[:30] + [replace(p, seq=p.seq - 1_000) for p in packets[30:]]
    packets[29] = replace(packets[29], arrives_ms=packets[31].arrives_ms)
    finished, file = CodedCall(16_000).record(packets, END_MS)
    reference = heard(packets, 16_000)
    same(file[: 580 * 16, 0], reference[: 580 * 16], 16_000)
    assert (file[660 * 16 : len(reference), 0] != 0).mean() > 0.9
    assert finished.streams[0].late <= 1


def test_a_number_that_comes_again_as_another_codec_breaks_nothing() -> None:
    """More numbers lie between than are remembered, and all of it still waits to be decoded."""
    packets = spoken(9)[:20]
    last = packets[-1]
    burst = [
        replace(last, arrives_ms=420, seq=last.seq + n, timestamp=last.timestamp + 160 + n, payload=b"\x55")
        for n in range(1, 132)
    ]
    packets += [*burst, replace(burst[0], payload_type=0)]
    packets += [replace(p, seq=p.seq + 200) for p in spoken(9)[30:]]
    finished, file = CodedCall(16_000).record(packets, END_MS)
    assert finished.reasons == ()
    assert file[700 * 16 : 1_100 * 16, 0].any()


def test_a_sender_that_changes_its_source_all_day_leaves_no_decoders_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoders: weakref.WeakSet[G722Decoder] = weakref.WeakSet()
    reset = G722Decoder.reset

    def note(self: G722Decoder) -> None:
        decoders.add(self)
        reset(self)

    monkeypatch.setattr(G722Decoder, "reset", note)
    call, most = CodedCall(16_000, ssrc=lambda packet: int(packet.arrives_ms) // 1_500), 0

    def count(call: CodedCall) -> None:
        nonlocal most
        gc.collect()
        most = max(most, len(decoders))

    packets = spoken(9, 60, ptime_ms=60)
    finished, file = call.record(packets, 60_000, every=(5_000, count))
    assert len({stream.ssrc for stream in finished.streams}) == 41
    assert np.count_nonzero(file[:, 0] == 0) < 41 * 320
    assert 0 < most <= 6


def test_numbers_wrap() -> None:
    packets = speech(111, chirp(48_000, SPOKEN_S), seq=65_510)
    _, file = CodedCall(8_000).record(packets, END_MS)
    reference = heard(packets, 8_000)
    same(file[: len(reference), 0], reference, 8_000)


@pytest.mark.parametrize("payload_type", [9, 111])
def test_headers_alone_tell_where_a_stream_lies_when_the_gate_opens(payload_type: int) -> None:
    """Closed for two seconds: only headers were seen, and an Opus header does not tell its length."""
    packets = speech(payload_type, chirp(coding_of(payload_type).rate_hz, 3.2), 60)
    plan = [(2_007, Action.START)]
    finished, file = CodedCall(16_000, plan, Policy.ON_DEMAND).record(packets, 3_300)
    reference = heard(packets, 16_000)
    at = 2_200 * 16
    near = np.corrcoef(file[at : at + 9_600, 0], reference[at : at + 9_600])[0, 1]
    assert near > 0.99
    assert finished.streams[0].reanchors == 0


def test_what_is_closed_while_it_waits_is_not_heard_in_what_stays() -> None:
    """A fast sender's audio waits already when the gate closes within it: silence, then as loud as can be."""
    opening = Opening(1, 0, USER)
    decoding = Decoding(opening, 16_000)
    payload = coding_of(0).encoder().encode(np.where(np.arange(320) < 200, 0, 30_000).astype(np.int16))
    decoding.receive(1, 0, 640, 0, 640, coding_of(0), payload)
    opening.end = 400
    sounds = list(decoding.pour(1_000))
    assert max(sound.position + len(sound.pcm) for sound in sounds) <= 400
    assert not any(sound.pcm.any() for sound in sounds)


def test_sound_that_is_closed_before_its_turn_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    decode = G722Decoder.decode

    def spy(self: G722Decoder, payload: bytes) -> Pcm:
        decoded.append(payload)
        return decode(self, payload)

    monkeypatch.setattr(G722Decoder, "decode", spy)
    packets = spoken(9)
    plan = [(407, Action.START), (893, Action.STOP)]
    CodedCall(8_000, plan, Policy.ON_DEMAND, tick_ms=1).record(packets, END_MS)
    assert decoded == [packet.payload for packet in packets[20:45]]
