"""The oracle is worth something: each bug planted in the recorder makes it complain.

Here the tap copies everything, so that nothing but the recorder's own gate keeps the file clean.
"""

import pytest

from mediaproxy.recording import streams
from mediaproxy.recording.gate import Gate, Opening
from mediaproxy.recording.live import LiveRecording, Track
from mediaproxy.recording.packets import Packet
from mediaproxy.recording.streams import Stream
from tests.support.oracle import Network, any_group, judge, turns
from tests.support.recorded_calls import Desk

SEEDS = range(5)
CALLS = 8


def complaints(network: Network | None = None, stalls: list[tuple[int, int]] | None = None) -> list[str]:
    """What the oracle says of the first loop that it finds fault with."""
    for seed in SEEDS:
        group, rng = any_group(seed, CALLS, network)
        desk = Desk(group, fast=False, leaky=True, seed=seed)
        results = desk.run(turns(rng, group, stalls))
        wrong = [text for call in group for text in judge(call, results[call.number], desk.stamps)]
        if wrong:
            return wrong
    return []


@pytest.mark.slow
def test_without_a_bug_there_is_nothing_to_complain_of() -> None:
    assert complaints() == []


@pytest.mark.slow
def test_whole_packets_written_while_the_gate_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: LiveRecording, track: Track, _: Stream, packet: Packet) -> None:
        if packet.payload and not packet.digit and self.states.gate.is_open:
            self._decode(track, packet, packet.position, packet.end)

    monkeypatch.setattr(LiveRecording, "_write", write)
    assert any("outside the intervals" in text for text in complaints())


@pytest.mark.slow
@pytest.mark.parametrize("edge", ["start", "end"])
def test_an_edge_off_by_one(monkeypatch: pytest.MonkeyPatch, edge: str) -> None:
    admitting = Gate.admitting

    def shifted(self: Gate, arrival: int, late: int) -> list[Opening]:
        return [
            Opening(
                o.number,
                o.start - (edge == "start"),
                o.started_by,
                o.tentative,
                None if o.end is None else o.end + (edge == "end"),
            )
            for o in admitting(self, arrival, late)
        ]

    monkeypatch.setattr(Gate, "admitting", shifted)
    assert any("outside the intervals" in text for text in complaints())


@pytest.mark.slow
def test_a_packet_written_that_came_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "admitting", lambda self, arrival, late: self.openings)
    assert any("holds a packet read at" in text for text in complaints())


@pytest.mark.slow
def test_a_leg_on_the_wrong_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    describe = Track.describe

    def misplace(self: Track, *arguments: object, **named: object) -> None:
        describe(self, *arguments, **named)  # type: ignore[arg-type]  # passed on as they are
        self.channel = 0

    monkeypatch.setattr(Track, "describe", misplace)
    assert any("none of its own" in text for text in complaints())


@pytest.mark.slow
def test_a_timestamp_that_is_not_unwrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule mends it by a re-anchor, but where nothing moves it must not need to."""
    assert complaints(Network(), []) == []
    monkeypatch.setattr(streams, "unwrap", lambda _reference, value, bits: value)
    assert any("nothing else moved" in text for text in complaints(Network(), []))


@pytest.mark.slow
def test_an_offset_of_the_first_packet_instead_of_the_least_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    release = Stream._release

    def hasty(self: Stream, hold: streams.Hold, *, is_open: bool) -> list[Packet]:
        hold.packets, rest = hold.packets[:1], hold.packets[1:]
        return release(self, hold, is_open=is_open) + [p for p in rest if self._place(p)]

    monkeypatch.setattr(Stream, "_release", hasty)
    assert complaints()
