"""The codecs against their standards' vectors and against FFmpeg, and against nonsense."""

import time
from fractions import Fraction

import av
import numpy as np
import pytest

from mediaproxy.audio import opus
from mediaproxy.audio.codecs import Coding, coding
from mediaproxy.audio.g711 import Pcm
from tests.support.corpora import CORPORA, MISSING
from tests.support.counts import count

G722_VECTORS = CORPORA / "codec-vectors" / "g722"
needs_corpora = pytest.mark.skipif(not G722_VECTORS.is_dir(), reason=MISSING)

KNOWN = [
    ("PCMU", 8000, 1), ("PCMU", 8000, 2), ("PCMA", 16000, 1), ("G722", 8000, 1), ("L16", 44100, 2),
    ("L16", 44100, 1), ("L16", 16000, 1), ("L16", 48000, 2), ("OPUS", 48000, 2),
]  # fmt: skip


def known(name: str, clock_hz: int = 8000, channels: int = 1) -> Coding:
    found = coding(name, clock_hz, channels)
    assert found is not None
    return found


def tone(rate_hz: int, seconds: float = 1.0, hz: float = 440.0) -> Pcm:
    at = np.arange(round(rate_hz * seconds)) / rate_hz
    return (9000 * np.sin(2 * np.pi * hz * at)).astype(np.int16)


def packets(coding: Coding, sound: Pcm, ptime_ms: int = 20) -> list[bytes]:
    encoder = coding.encoder()
    length = encoder.rate_hz * ptime_ms // 1000
    return [encoder.encode(sound[at : at + length]) for at in range(0, len(sound) - length + 1, length)]


def likeness(heard: Pcm, spoken: Pcm, most: int) -> tuple[int, float]:
    """The delay up to `most` samples at which two sounds agree best, and how well."""
    size = min(len(heard), len(spoken), 12_000) - most
    found = [(float(np.corrcoef(heard[d : d + size], spoken[:size])[0, 1]), d) for d in range(most)]
    best, delay = max(found)
    return delay, best


# G.722.


def vector(name: str) -> Pcm:
    return np.fromfile(G722_VECTORS / name, dtype="<i2")


def codes() -> bytes:
    return vector("codspw.cod").astype(np.uint8).tobytes()  # one code in each 16-bit word


@needs_corpora
@pytest.mark.parametrize("size", [80, 160, 233])
def test_g722_decodes_the_standards_sequence_exactly_in_packets_of_any_size(size: int) -> None:
    decoder = known("G722").decoder(16_000)
    sequence = codes()
    heard = [decoder.decode(sequence[at : at + size]) for at in range(0, len(sequence), size)]
    np.testing.assert_array_equal(np.concatenate(heard), vector("outsp1.bin"))
    assert decoder.faults == 0


@needs_corpora
@pytest.mark.parametrize("ptime_ms", [5, 10, 20, 30, 60])
def test_g722_encodes_the_standards_sequence_exactly(ptime_ms: int) -> None:
    coded = b"".join(packets(known("G722"), vector("inpsp.bin"), ptime_ms))
    assert len(coded) > 48_000
    assert coded == codes()[: len(coded)]


def test_a_reset_decoder_has_heard_nothing() -> None:
    for name, clock_hz in (("G722", 8000), ("OPUS", 48000)):
        coding = known(name, clock_hz, 2 if name == "OPUS" else 1)
        said = packets(coding, tone(coding.rate_hz, 0.2))
        fresh = coding.decoder(16_000)
        used = coding.decoder(16_000)
        for payload in packets(coding, tone(coding.rate_hz, 0.2, 2500.0)):
            used.decode(payload)
        used.reset()
        for payload in said:
            np.testing.assert_array_equal(used.decode(payload), fresh.decode(payload))


# Opus.


def opus_by_ffmpeg(sound: Pcm, layout: str, **options: str) -> list[bytes]:
    """`sound` is 48 kHz, interleaved."""
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, layout, "s16"
    encoder.time_base = Fraction(1, 48_000)
    encoder.options = {"application": "voip", **options}
    channels = len(encoder.layout.channels)
    coded: list[bytes] = []
    for at in range(0, len(sound), 960 * channels):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(sound[at : at + 960 * channels])[None], format="s16", layout=layout
        )
        frame.sample_rate, frame.pts = 48_000, at // channels
        coded += [bytes(packet) for packet in encoder.encode(frame)]
    return coded


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
def test_opus_gives_the_rate_that_is_asked_for_with_a_constant_delay(rate_hz: int) -> None:
    coding = known("OPUS", 48_000, 2)
    decoder = coding.decoder(rate_hz)
    spoken = chirp(rate_hz)
    heard = np.concatenate([decoder.decode(p) for p in packets(coding, chirp(48_000))])
    assert decoder.rate_hz == rate_hz
    assert len(heard) == len(spoken)
    delay, best = likeness(heard, spoken, rate_hz // 50)
    assert best > 0.94  # 1.0 but for what lies between two samples
    assert 4 <= delay * 1000 / rate_hz <= 9  # what the encoder looks ahead


def chirp(rate_hz: int, seconds: float = 1.0) -> Pcm:
    at = np.arange(round(rate_hz * seconds)) / rate_hz
    return (9000 * np.sin(2 * np.pi * (300 * at + 600 * at * at))).astype(np.int16)


def test_48_khz_opus_is_what_ffmpeg_hears() -> None:
    coding = known("OPUS", 48_000, 2)
    reference = av.AudioCodecContext.create("libopus", "r")
    reference.sample_rate, reference.layout = 48_000, "mono"
    decoder = coding.decoder(48_000)
    for payload in packets(coding, chirp(48_000)):
        (frame,) = reference.decode(av.Packet(payload))
        np.testing.assert_array_equal(decoder.decode(payload), frame.to_ndarray()[0])


def test_stereo_opus_becomes_the_mean_of_both_sides() -> None:
    left, right = chirp(48_000), tone(48_000, hz=1000.0)
    coded = opus_by_ffmpeg(np.stack([left, right], axis=1).reshape(-1), "stereo", b="96000")
    assert coded[10][0] & 4, "the stream is stereo"
    decoder = known("OPUS", 48_000, 2).decoder(48_000)
    heard = np.concatenate([decoder.decode(payload) for payload in coded])
    mean = ((left.astype(np.int32) + right) // 2).astype(np.int16)
    _, best = likeness(heard, mean, 480)
    assert best > 0.98


def test_a_packet_without_sound_lasts_as_long_as_the_others_and_fades_out() -> None:
    """DTX (RFC 7587 3.1.3): the table of contents alone."""
    coding = known("OPUS", 48_000, 2)
    decoder = coding.decoder(8_000)
    coded = packets(coding, tone(48_000, 0.4))
    heard = [decoder.decode(payload) for payload in coded + [coded[-1][:1]] * 40]
    assert {len(part) for part in heard} == {160}
    assert int(np.abs(heard[-1]).max()) < 200 < int(np.abs(heard[15]).max())
    assert decoder.faults == 0


@pytest.mark.parametrize("ptime_ms", opus.PACKETS_MS)
def test_an_opus_packet_tells_its_length(ptime_ms: int) -> None:
    coding = known("OPUS", 48_000, 2)
    for payload in packets(coding, tone(48_000, 0.3), ptime_ms):
        assert coding.ticks(payload, len(payload)) == 48 * ptime_ms
    assert coding.ticks(None, 80) is None


@pytest.mark.parametrize(
    ("payload", "ticks"),
    [
        (b"", 0),
        (b"\x03", 0),  # a count is said to follow
        (b"\x03\x00", 0),  # of none
        (b"\x1b\x02", 5760),  # two of 60 ms
        (b"\x1b\x03", 0),  # 180 ms: there is no such packet
        (b"\xe3\x30", 5760),  # 48 of 2.5 ms
    ],
)
def test_opus_lengths_at_their_limits(payload: bytes, ticks: int) -> None:
    assert opus.ticks(payload) == ticks


def test_an_encoder_refuses_a_length_that_no_packet_has() -> None:
    for codec, length in ((known("OPUS", 48_000, 2), 1000), (known("G722"), 100), (known("G722"), 0)):
        with pytest.raises(ValueError, match="packet"):
            codec.encoder().encode(np.zeros(length, dtype=np.int16))


# All of them.


@pytest.mark.parametrize("wanted", KNOWN)
def test_sound_comes_back_through_every_codec(wanted: tuple[str, int, int]) -> None:
    coding = known(*wanted)
    encoder, decoder = coding.encoder(), coding.decoder(coding.rate_hz)
    assert (encoder.rate_hz, encoder.clock_hz) == (coding.rate_hz, coding.clock_hz)
    spoken = tone(coding.rate_hz, 0.4)
    coded = packets(coding, spoken)
    assert {coding.ticks(payload, len(payload)) for payload in coded} == {coding.clock_hz // 50}
    heard = np.concatenate([decoder.decode(payload) for payload in coded])
    assert likeness(heard, spoken, coding.rate_hz // 50)[1] > 0.99
    encoder.reset()
    assert [encoder.encode(spoken[: coding.rate_hz // 50])] == coded[:1]


@pytest.mark.parametrize("wanted", KNOWN)
def test_no_payload_makes_a_decoder_fail(wanted: tuple[str, int, int]) -> None:
    coding = known(*wanted)
    random = np.random.default_rng(9)
    decoder = coding.decoder(8_000)
    good = packets(coding, tone(coding.rate_hz, 0.1))
    begun = time.process_time()
    runs = count(300, full=20_000)
    for _ in range(runs):
        payload = bytearray(good[int(random.integers(len(good)))])
        for _ in range(int(random.integers(0, 6))):
            payload[int(random.integers(len(payload)))] = int(random.integers(256))
        payload = payload[: int(random.integers(0, len(payload) + 1))]
        if random.random() < 0.5:
            payload = bytearray(random.bytes(int(random.integers(0, 1473))))
        heard = decoder.decode(bytes(payload))
        ticks = coding.ticks(bytes(payload), len(payload))
        assert heard.dtype == np.int16
        assert ticks is not None
        assert len(heard) == ticks * decoder.rate_hz // coding.clock_hz
    assert time.process_time() - begun < runs * 0.002


@pytest.mark.parametrize(
    ("wanted", "bad", "samples"),
    [
        (("L16", 16000, 1), b"\1\2\3", [258]),  # what is whole is kept
        (("PCMU", 8000, 2), b"\xff", []),
        (("OPUS", 48000, 2), b"\3", []),
        (("OPUS", 48000, 2), b"\xfa\xff" + bytes(20), [0] * 320),  # two frames, one said to be too long
    ],
)
def test_bad_payloads_are_counted(wanted: tuple[str, int, int], bad: bytes, samples: list[int]) -> None:
    decoder = known(*wanted).decoder(8_000)
    assert decoder.decode(bad).tolist() == samples
    assert decoder.faults == 1


@pytest.mark.parametrize(
    ("name", "clock_hz", "channels"),
    [
        ("G729", 8000, 1),
        ("PCMU", 7999, 1),
        ("L16", 96000, 1),
        ("L16", 16000, 6),
        ("OPUS", 8000, 1),
        ("SPEEX", 8000, 1),
    ],
)
def test_what_we_do_not_know_is_none(name: str, clock_hz: int, channels: int) -> None:
    assert coding(name, clock_hz, channels) is None
