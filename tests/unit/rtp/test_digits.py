"""Digits on their way through a leg: a receiver behind the filter hears exactly the digits that are no
code's, whatever the sender and the network do to their packets."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediaproxy.clock import NS_PER_MS
from mediaproxy.rtp.codes import INTER_DIGIT_NS
from mediaproxy.rtp.digits import Dialled, DigitFilter, Regenerated, Seen
from mediaproxy.rtp.events import DIGITS, TelephoneEvent, parse_event
from mediaproxy.rtp.packet import HEADER, build
from mediaproxy.rtp.sequence import Renumbering
from tests.support.counts import count
from tests.support.telephone_events import EVENT_TYPE, Keypad, captured_rtp

CODES = {"start": "*1", "stop": "*2"}
PTIME = 20 * NS_PER_MS
SECOND = 1000 * NS_PER_MS


class Direction:
    """A leg's stream through filter and renumbering, in its own time; keeps what goes out and when."""

    def __init__(self, codes: dict[str, str] = CODES) -> None:
        self.filter = DigitFilter(codes)
        self.renumbering = Renumbering()
        self.now = 0
        self.out: list[tuple[int, bytes]] = []
        self.dialled: list[Dialled] = []
        self.pending: list[Dialled] = []
        self.seen: list[int] = []
        self._relayed: dict[int, int] = {}

    def until(self, now: int) -> None:
        while (at := self.filter.next_deadline_ns()) is not None and at <= now:
            self.filter.handle_timer(at)
            self._settle(at)
        self.now = now

    def feed(self, packets: Sequence[bytes], *, every: int = PTIME) -> "Direction":
        for packet in packets:
            self.until(self.now + every)
            self._feed(packet)
        return self

    def settle(self) -> None:
        self._settle(self.now)

    def rest(self, ns: int = 3 * SECOND) -> "Direction":
        self.until(self.now + ns)
        return self

    def _feed(self, packet: bytes) -> None:
        first, second, seq, timestamp, ssrc = HEADER.unpack_from(packet)
        event = parse_event(packet[12:]) if second & 0x7F == EVENT_TYPE else None
        if event and not self.filter.receive(ssrc, timestamp, second & 0x7F, event, self.now):
            self.renumbering.withhold(ssrc, seq, relayed=self._relayed.get(ssrc))
        else:
            number = self.renumbering.forward(ssrc, seq)
            self._relayed[ssrc] = seq
            self.out.append((self.now, HEADER.pack(first, second, number, timestamp, ssrc) + packet[12:]))
        self._settle(self.now)

    def _settle(self, now: int) -> None:
        for output in self.filter.drain():
            if isinstance(output, Regenerated):
                seq = self.renumbering.insert(output.ssrc, relayed=self._relayed.get(output.ssrc, 0))
                self.out.append(
                    (
                        now,
                        build(
                            output.payload_type,
                            output.marker,
                            seq,
                            output.timestamp,
                            output.ssrc,
                            output.payload,
                        ),
                    )
                )
            elif isinstance(output, Dialled):
                (self.dialled if output.certain else self.pending).append(output)
            elif isinstance(output, Seen):
                self.seen.append(output.arrived_ns)

    # What a receiver makes of it.

    def events(self) -> list[tuple[int, int, TelephoneEvent]]:
        """(ns, timestamp, event) of each telephone-event packet that went out."""
        found = []
        for at, packet in self.out:
            _, second, _, timestamp, _ = HEADER.unpack_from(packet)
            event = parse_event(packet[12:])
            if second & 0x7F == EVENT_TYPE and event:
                found.append((at, timestamp, event))
        return found

    def heard(self) -> str:
        """The digits by timestamp, each once."""
        digits = {timestamp: DIGITS[event.code] for _, timestamp, event in self.events()}
        return "".join(digits.values())

    def numbers(self) -> list[int]:
        return [HEADER.unpack_from(packet)[2] for _, packet in self.out]


def without_gap(numbers: list[int]) -> bool:
    return all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))


def test_digits_of_no_code_pass_byte_for_byte() -> None:
    keypad = Keypad()
    packets = [packet for digit in "5#09" for packet in keypad.press(digit)]
    direction = Direction().feed(packets)
    assert [packet for _, packet in direction.out] == packets
    assert len(direction.seen) == 4


def test_a_code_stays_away_and_takes_effect_at_its_last_digits_first_packet() -> None:
    keypad = Keypad()
    star, one = keypad.press("*"), keypad.press("1")
    direction = Direction().feed([keypad.audio(), *star, *one, *(keypad.audio() for _ in range(5))]).rest()
    assert direction.heard() == ""
    assert direction.dialled == [Dialled("start", (1 + len(star) + 1) * PTIME)]
    assert len(direction.out) == 6


def test_behind_a_code_the_receiver_sees_no_gap() -> None:
    keypad = Keypad(seq=65_530)
    packets = [keypad.audio(), *keypad.press("*"), keypad.audio(), *keypad.press("2"), keypad.audio()]
    direction = Direction().feed(packets)
    assert len(direction.out) == 3
    assert without_gap(direction.numbers())


def test_a_lone_star_is_made_anew_when_the_time_for_a_second_digit_is_over() -> None:
    keypad = Keypad()
    direction = Direction().feed(keypad.press("*", length=8)).rest()
    events = direction.events()
    assert direction.heard() == "*"
    assert events[0][0] == PTIME + INTER_DIGIT_NS
    assert [event.duration for _, _, event in events] == [*range(160, 8 * 160, 160), *[8 * 160] * 3]
    assert [event.end for _, _, event in events] == [False] * 7 + [True] * 3
    assert {event.volume for _, _, event in events} == {10}
    assert {at - before for (before, _, _), (at, _, _) in itertools.pairwise(events)} == {PTIME}


def test_only_the_first_packet_made_anew_has_the_marker_and_its_timestamp_has_moved_on() -> None:
    keypad = Keypad(timestamp=2**32 - 100)
    direction = Direction().feed(keypad.press("*")).rest()
    headers = [HEADER.unpack_from(packet) for _, packet in direction.out]
    assert [second >> 7 for _, second, *_ in headers] == [1] + [0] * (len(headers) - 1)
    waited_units = INTER_DIGIT_NS * 8000 // SECOND
    assert {timestamp for _, _, _, timestamp, _ in headers} == {waited_units - 100}


def test_a_broken_code_is_made_anew_whole_and_in_order() -> None:
    keypad = Keypad()
    direction = Direction().feed([*keypad.press("*", length=4), *keypad.press("7", length=9)]).rest()
    assert direction.heard() == "*7"
    last = {DIGITS[event.code]: event.duration for _, _, event in direction.events() if event.end}
    assert last == {"*": 4 * 160, "7": 9 * 160}
    assert sum(event.end for _, _, event in direction.events()) == 6
    assert direction.dialled == []


def test_digits_behind_one_made_anew_keep_their_order() -> None:
    keypad = Keypad()
    direction = Direction().feed([packet for digit in "*789" for packet in keypad.press(digit)]).rest()
    assert direction.heard() == "*789"
    timestamps = list(dict.fromkeys(timestamp for _, timestamp, _ in direction.events()))
    assert timestamps == sorted(timestamps)


def test_a_doubled_star_refuses_one_and_completes_the_code() -> None:
    keypad = Keypad()
    direction = Direction().feed([packet for digit in "**1" for packet in keypad.press(digit)]).rest()
    assert direction.heard() == "*"
    assert [dialled.action for dialled in direction.dialled] == ["start"]


def test_audio_between_the_event_packets_flows_on_without_gap_or_delay() -> None:
    # baresip sends audio and events turn by turn in one stream.
    keypad, packets, audio = Keypad(), [], 0
    for event in [*keypad.press("*"), *keypad.press("1")]:
        first, second, _, timestamp, ssrc = HEADER.unpack_from(event)
        keypad.seq += 1
        packets.append(HEADER.pack(first, second, keypad.seq, timestamp, ssrc) + event[12:])
        keypad.seq += 1
        packets.append(build(0, False, keypad.seq, 500_000 + audio * 160, ssrc, b"a" * 160))
        audio += 1
    direction = Direction().feed(packets, every=PTIME // 2)
    assert direction.heard() == ""
    assert len(direction.out) == audio
    assert without_gap(direction.numbers())


def test_while_a_digit_is_made_anew_audio_keeps_flowing_and_numbers_have_no_gap() -> None:
    keypad = Keypad()
    packets = keypad.press("*")
    direction = Direction().feed([*packets, *(keypad.audio() for _ in range(120))])
    assert direction.heard() == "*"
    assert len(direction.out) == 120 + 4 + 3
    assert without_gap(direction.numbers())


def test_events_of_their_own_ssrc_leave_the_audios_numbers_alone() -> None:
    keypad, voice = Keypad(), Keypad(ssrc=7, seq=30)
    packets: list[bytes] = []
    for event in [*keypad.press("*"), *keypad.press("1")]:
        packets += [event, voice.audio()]
    direction = Direction().feed(packets)
    assert direction.heard() == ""
    assert direction.numbers() == list(range(30, 30 + len(packets) // 2))


def test_a_key_held_longer_than_the_inter_digit_time_is_made_anew_while_it_is_down() -> None:
    keypad = Keypad()
    packets = keypad.press("*", length=150)
    direction = Direction().feed(packets)
    assert direction.events()
    assert not any(event.end for _, _, event in direction.events())
    direction.rest(4 * SECOND)
    assert direction.heard() == "*"
    assert [event.duration for _, _, event in direction.events() if event.end] == [150 * 160] * 3


def test_a_press_of_ten_seconds_in_two_segments_is_one_digit() -> None:
    keypad = Keypad()
    star = keypad.press("*", length=409, ends=0)
    keypad.timestamp = 80_000 + 0xFFFF
    star += keypad.press("*", length=40, marker=False)
    direction = Direction({"start": "**"}).feed(star)
    assert direction.dialled == []
    assert len(direction.seen) == 1


def test_some_telephones_move_the_timestamp_with_every_packet() -> None:
    keypad, packets = Keypad(), []
    for digit in "*1":
        for n, event in enumerate(keypad.press(digit, length=5, ends=1)):
            first, second, seq, timestamp, ssrc = HEADER.unpack_from(event)
            packets.append(HEADER.pack(first, second, seq, timestamp + n * 160, ssrc) + event[12:])
    direction = Direction().feed(packets).rest()
    assert [dialled.action for dialled in direction.dialled] == ["start"]
    assert direction.heard() == ""


def test_the_same_digit_twice_is_two_digits() -> None:
    keypad = Keypad()
    direction = Direction({"start": "11"}).feed([*keypad.press("1"), *keypad.press("1")])
    assert len(direction.dialled) == 1


def test_a_digit_whose_end_packets_were_all_lost_is_still_made_anew_with_an_end() -> None:
    keypad = Keypad()
    direction = Direction().feed(keypad.press("*", ends=0)).rest()
    assert [event.duration for _, _, event in direction.events() if event.end] == [4 * 160] * 3


def test_end_packets_alone_are_a_digit() -> None:
    keypad = Keypad()
    star, one = keypad.press("*")[-3:], keypad.press("1")[-1:]
    direction = Direction().feed([*star, *one]).rest()
    assert [dialled.action for dialled in direction.dialled] == ["start"]
    assert direction.heard() == ""


def test_other_codes_let_go_of_what_was_held_for_the_old_ones() -> None:
    keypad = Keypad()
    direction = Direction().feed(keypad.press("*"))
    direction.filter.watch({}, direction.now)
    direction.rest(1 * SECOND).feed(keypad.press("1"))
    assert direction.heard() == "*1"
    assert len(direction.seen) == 1


def test_the_same_codes_again_change_nothing() -> None:
    keypad = Keypad()
    direction = Direction().feed(keypad.press("*"))
    direction.filter.watch(dict(CODES), direction.now)
    assert [dialled.action for dialled in direction.feed(keypad.press("1")).dialled] == ["start"]


def test_what_is_no_digit_passes_also_while_a_code_may_be_forming() -> None:
    keypad = Keypad()
    flash = build(EVENT_TYPE, True, 2000, 90_000, 5, b"\x10\x0a\x00\xa0")
    direction = Direction().feed([*keypad.press("*"), flash])
    assert [packet for _, packet in direction.out] == [flash]


def test_a_faster_clock_makes_the_same_length_in_time() -> None:
    digits = DigitFilter(CODES)
    for n in range(1, 6):
        event = TelephoneEvent(10, n == 5, 10, n * 960)
        assert not digits.receive(1, 0, EVENT_TYPE, event, n * PTIME, clock_hz=48_000)
    count = 0
    while (at := digits.next_deadline_ns()) is not None:
        digits.handle_timer(at)
        count += sum(isinstance(output, Regenerated) for output in digits.drain())
    assert count == 4 + 3


@pytest.mark.parametrize("seed", range(40))
def test_loss_reordering_and_repeats_of_event_packets_change_nothing(seed: int) -> None:
    chance = random.Random(seed)
    keypad, packets, dialled = Keypad(seq=chance.randrange(65_536)), [], chance.choices("*1257#", k=12)
    for digit in dialled:
        press = keypad.press(digit, length=chance.randint(2, 8))
        kept = [packet for packet in press if chance.random() > 0.3] or press[-1:]
        kept += [packet for packet in press[-3:] if chance.random() < 0.3]
        packets += sorted(kept, key=lambda packet: press.index(packet) + chance.uniform(0, 2.5))
    direction = Direction().feed(packets).rest()
    expected, actions, rest = "", [], "".join(dialled)
    while rest:
        if rest[:2] in ("*1", "*2"):
            actions.append({"*1": "start", "*2": "stop"}[rest[:2]])
            rest = rest[2:]
        else:
            expected, rest = expected + rest[0], rest[1:]
    assert direction.heard() == expected
    assert [dialled.action for dialled in direction.dialled] == actions
    durations: dict[int, int] = {}
    for _, timestamp, event in direction.events():
        durations[timestamp] = max(durations.get(timestamp, 0), event.duration)
    assert len(durations) == len(expected)


@pytest.mark.parametrize(("keys", "heard", "actions"), [
    ("star 1", "", ["start"]),
    ("star 2 star 2 star 1", "", ["stop", "stop", "start"]),
    ("star 5", "*5", []),
    ("5 5 star", "55*", []),
    ("pound star 1 9", "#9", ["start"]),
])  # fmt: skip
def test_the_keys_of_a_capture(keys: str, heard: str, actions: list[str], corpora_path: Path) -> None:
    # Each press of a key repeats its packets to the byte, sequence numbers and timestamp included.
    direction = Direction()
    for key in keys.split():
        packets = captured_rtp(corpora_path / "dtmf-pcap" / f"dtmf_2833_{key}.pcap")
        start = direction.now + 400 * NS_PER_MS
        for micros, packet in packets:
            direction.until(start + (micros - packets[0][0]) * 1000)
            direction.feed([packet], every=0)
    direction.rest()
    assert [dialled.action for dialled in direction.dialled] == actions
    pressed = [DIGITS[event.code] for _, _, event in direction.events() if event.end]
    assert "".join(pressed[::3]) == heard
    assert len(pressed) == 3 * len(heard)


NESTED = {"start": "*1", "stop": "*11", "pause": "*1124", "toggle": "77"}


def press_all(direction: Direction, digits: str, gaps: Sequence[int] = ()) -> list[int]:
    """When each digit's first packet came; `gaps` are in ms, between the keys."""
    keypad, began = Keypad(), []
    for digit, gap in zip(digits, gaps or [60] * len(digits), strict=True):
        direction.until(direction.now + gap * NS_PER_MS)
        keypad.timestamp += gap * 8
        began.append(direction.now + PTIME)
        direction.feed(keypad.press(digit))
    return began


def test_a_code_that_begins_another_is_told_at_once_and_for_certain_when_no_digit_follows() -> None:
    direction = Direction(NESTED)
    _, at = press_all(direction, "*1")
    assert direction.pending == [Dialled("start", at, certain=False)]
    assert direction.dialled == []
    direction.until(at + INTER_DIGIT_NS - 1)
    assert direction.dialled == []
    direction.until(at + INTER_DIGIT_NS)
    assert direction.dialled == [Dialled("start", at)]
    assert direction.rest().heard() == ""


def test_the_longer_code_takes_the_place_of_the_shorter() -> None:
    direction = Direction(NESTED)
    began = press_all(direction, "*1124")
    assert direction.pending == [
        Dialled("start", began[1], certain=False),
        Dialled("stop", began[2], certain=False),
    ]
    assert direction.dialled == [Dialled("pause", began[4])]
    assert direction.rest().heard() == ""


def test_what_follows_a_shorter_code_is_made_anew() -> None:
    direction = Direction(NESTED)
    began = press_all(direction, "*112*")
    assert direction.dialled == [Dialled("stop", began[2])]
    assert direction.rest().heard() == "2*"


def test_other_codes_decide_what_the_old_ones_left_open() -> None:
    direction = Direction(NESTED)
    _, at = press_all(direction, "*1")
    direction.filter.watch({}, direction.now)
    direction.settle()
    assert direction.rest().dialled == [Dialled("start", at)]
    assert direction.heard() == ""


@given(st.lists(st.tuples(st.sampled_from("*1247"), st.sampled_from([40, 60, 500, 2_100])), max_size=14))
@settings(max_examples=count(60, full=2_000))
def test_a_receiver_hears_what_is_no_codes_and_nothing_of_a_code(presses: list[tuple[str, int]]) -> None:
    digits, gaps = "".join(digit for digit, _ in presses), [gap for _, gap in presses]
    direction = Direction(NESTED)
    began = press_all(direction, digits, gaps)
    direction.rest(20 * SECOND)
    refused, actions, row = "", [], list(range(len(digits)))
    while row:
        paused = (n for n in range(1, len(row)) if began[row[n]] - began[row[n - 1]] >= INTER_DIGIT_NS)
        last = next(paused, None)
        near = "".join(digits[at] for at in row[:last])
        fitting = [(len(code), action) for action, code in NESTED.items() if near.startswith(code)]
        length, action = max(fitting, default=(1, ""))
        if action:
            actions.append(Dialled(action, began[row[length - 1]]))
        else:
            refused += digits[row[0]]
        row = row[length:]
    assert direction.heard() == refused
    assert direction.dialled == actions
    assert {one.arrived_ns for one in direction.pending} <= set(began)
    ends = [DIGITS[event.code] for _, _, event in direction.events() if event.end]
    assert len(ends) == 3 * len(refused)
    if began:  # nothing waits longer than for the next digit, and for those before it to be said
        assert all(at <= began[-1] + INTER_DIGIT_NS + len(digits) * SECOND for at, _, _ in direction.events())


def test_a_flood_of_digits_is_let_fall_and_the_next_one_is_heard() -> None:
    keypad = Keypad()
    direction = Direction().feed(keypad.press("*"))
    direction.feed([packet for _ in range(500) for packet in keypad.press("7", length=1)], every=NS_PER_MS)
    direction.rest(60 * SECOND)
    assert len(direction.heard()) < 100
    assert direction.filter.next_deadline_ns() is None
    direction.out.clear()
    assert direction.feed(keypad.press("8")).heard() == "8"


def test_digits_of_long_ago_are_forgotten() -> None:
    direction = Direction()
    press_all(direction, "5556", [500] * 4)
    assert len(direction.filter._recent) == 1
    direction.rest(SECOND)  # also when no other one follows
    assert direction.filter._recent == []
    assert direction.filter.next_deadline_ns() is None


def test_digits_show_in_no_repr() -> None:
    keypad = Keypad()
    direction = Direction().feed(keypad.press("*")).rest()
    packet = Regenerated(1, 101, False, 0, b"\x0a\x0a\x00\xa0")
    assert "x0a" not in repr(packet)
    assert "'*'" not in repr(direction.filter)
