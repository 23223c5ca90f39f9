"""Any bytes are a journal: some prefix is believed, nothing raises, nothing is invented."""

import json
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from mediaproxy.clock import rfc3339
from mediaproxy.recording import journal, labels, manifest, wav
from mediaproxy.recording.journal import Annulled, Ended, Present, Record, Toggled
from mediaproxy.recording.manifest import Actor, Manifest, Master, Participant, StreamFacts
from mediaproxy.storage.audio import identity
from tests.support.recordings import header_of, interval, toggled

ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(), lambda said: st.lists(said) | st.dictionaries(st.text(), said)
)
STATES = st.sampled_from(["recording", "paused", "inactive"])


@st.composite
def journals(draw: st.DrawFn) -> list[Record]:
    steps = draw(st.lists(st.tuples(st.integers(0, 4_000), STATES, st.booleans()), max_size=8))
    records: list[Record] = [header_of()]
    position = 0
    for number, (step, state, annulled) in enumerate(steps, 1):
        position += step
        records.append(toggled(number, position, state))
        if annulled and state == "recording":
            records.append(Annulled(number))
            records.append(Present((Participant("B", 2, "agent", "carol", "+1", 0, position),)))
    if draw(st.booleans()):
        records.append(Ended(position, (interval(0, 1),)))
    return records


def written(records: list[Record]) -> bytes:
    return b"".join(journal.encode(record, n) for n, record in enumerate(records))


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_state(content: bytes) -> None:
    state = journal.replay(content)
    assert state.valid_bytes + state.garbage_bytes == len(content)
    assert state.lines == 0


@settings(max_examples=150)
@given(journals(), st.data())
def test_a_cut_and_a_garbage_tail_leave_a_prefix(records: list[Record], data: st.DataObject) -> None:
    content = written(records)
    cut = data.draw(st.integers(0, len(content)))
    garbage = data.draw(st.binary(max_size=60))
    state = journal.replay(content[:cut] + garbage)
    assert content.startswith((content[:cut] + garbage)[: state.valid_bytes])
    assert state.lines == content[: state.valid_bytes].count(b"\n") >= content[:cut].count(b"\n")


@settings(max_examples=150)
@given(journals(), st.data())
def test_one_changed_byte_is_never_believed(records: list[Record], data: st.DataObject) -> None:
    content = bytearray(written(records))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    assert journal.replay(bytes(content)).valid_bytes <= at


@settings(max_examples=150)
@given(journals(), st.integers(0, 40_000))
def test_intervals_are_in_order_apart_and_inside(records: list[Record], end: int) -> None:
    at = 0
    for found in journal.replay(written(records)).intervals(end, Actor("recovery")):
        assert at <= found.start_sample < found.end_sample <= end
        at = found.end_sample


@settings(max_examples=150)
@given(journals())
def test_what_was_written_is_read_back(records: list[Record]) -> None:
    state = journal.replay(written(records))
    annulled = {record.number for record in records if isinstance(record, Annulled)}
    toggles = [r for r in records if isinstance(r, Toggled) and r.number not in annulled]
    assert (state.header, list(state.toggles)) == (records[0], toggles)
    assert state.ended == (records[-1] if isinstance(records[-1], Ended) else None)
    assert (state.lines, state.garbage_bytes, state.damaged, state.newer) == (len(records), 0, False, False)


@settings(max_examples=150)
@given(journals(), st.data())
def test_a_cut_looks_torn_and_never_damaged_or_newer(records: list[Record], data: st.DataObject) -> None:
    content = written(records)
    state = journal.replay(content[: data.draw(st.integers(0, len(content)))])
    assert not state.damaged
    assert not state.newer


@settings(max_examples=150)
@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_a_whole_line_of_anything_is_not_ours(said: object) -> None:
    """Whole as none but a mediaproxy writes it, and still nothing that this one knows."""
    body = json.dumps({"k": "header", "n": 0, "version": 1, "said": said}).encode()[:-1]
    state = journal.replay(b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body)))
    assert (state.header, state.newer) == (None, True)


STRANGE = st.sampled_from(
    [None, True, -1, 1 << 47, 1 << 70, 1.5, "", "\udcff", "recording", [], {}, ["x"], [[]], [{}], {"a": 1}]
)


def places(said: object) -> list[tuple[dict[str, object] | list[object], str | int]]:
    """Everything that a line says, wherever it stands."""
    if isinstance(said, dict):
        found = [(said, key) for key in said if key not in ("k", "n")]
    else:
        found = [(said, index) for index in range(len(said))] if isinstance(said, list) else []
    return found + [each for within, key in found for each in places(within[key])]  # type: ignore[index]


@settings(max_examples=400)
@given(st.data())
def test_a_whole_line_with_one_strange_value_is_understood_or_newer(data: st.DataObject) -> None:
    """What is believed can be acted on: nothing that reads the state meets a type it does not expect."""
    participant = Participant("A", 1, "trunk", "carrier", "+15550199", 0, 480)
    end = Ended(900, (interval(400, 800),), (StreamFacts("A", 7, "PCMU", 3),), participants=(participant,))
    records: list[Record] = [header_of(), toggled(1, 400, "recording"), Annulled(1), end]
    n = data.draw(st.integers(0, 3))
    line = json.loads(journal.encode(records[n], n))
    del line["crc"]
    within, key = data.draw(st.sampled_from(places(line)))
    within[key] = data.draw(STRANGE)  # type: ignore[index]
    body = json.dumps(line).encode()[:-1]
    state = journal.replay(written(records[:n]) + b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body)))
    assert state.newer == (state.lines == n)
    intervals = (*state.intervals(2_000, Actor("recovery")), *(state.ended.intervals if state.ended else ()))
    assert all(labels.of_interval(each) for each in intervals)
    if header := state.header:
        ended = state.ended or Ended(2_000, intervals)
        assert wav.header(wav.constant_part(identity(header)), 0)
        assert manifest.encode(
            Manifest(
                header.recording_id, header.call_id, header.sip_call_id, rfc3339(header.answered_at_ms),
                header.sample_rate, ended.duration_samples, intervals, ended.participants or (),
                ended.streams, ended.withheld, ended.injected, "recovered", ended.reasons, Master("", ""),
            )
        )  # fmt: skip
