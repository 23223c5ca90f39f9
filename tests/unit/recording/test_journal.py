"""A journal says what was on, whatever byte it was cut at."""

import json

import pytest

from mediaproxy.recording import journal
from mediaproxy.recording.journal import Annulled, Ended, Record, Toggled
from mediaproxy.recording.manifest import Actor, Interval, StreamFacts
from tests.support.recordings import ALICE, CALL_END, header_of, interval, toggled

RECOVERY = Actor("recovery")
RECORDS: list[Record] = [
    header_of(),
    toggled(1, 8_000, "recording"),
    toggled(2, 16_000, "paused"),
    toggled(3, 24_000, "recording"),
    toggled(4, 24_000, "inactive"),
    Ended(
        32_000,
        (interval(8_000, 16_000),),
        (StreamFacts("A", 7, "PCMU", 200, lost=3),),
        withheld=2,
        reasons=("storage_full",),
    ),
]


def written(records: list[Record]) -> bytes:
    return b"".join(journal.encode(record, n) for n, record in enumerate(records))


def test_replay_gives_back_what_was_written() -> None:
    state = journal.replay(written(RECORDS))
    assert state.header == RECORDS[0]
    assert list(state.toggles) == RECORDS[1:5]
    assert state.ended == RECORDS[5]
    assert (state.lines, state.garbage_bytes) == (6, 0)


def test_every_line_is_plain_json() -> None:
    lines = [json.loads(line) for line in written(RECORDS).splitlines()]
    assert [(line["k"], line["n"]) for line in lines[:2]] == [("header", 0), ("toggled", 1)]
    assert lines[1]["by"] == {"means": "api", "user": "alice"}


def test_a_journal_cut_at_any_byte_is_a_prefix_of_the_truth() -> None:
    content = written(RECORDS)
    ends = [len(written(RECORDS[:n])) for n in range(len(RECORDS) + 1)]
    for cut in range(len(content) + 1):
        state = journal.replay(content[:cut])
        whole = max(n for n, end in enumerate(ends) if end <= cut)
        assert state.lines == whole, cut
        assert state.garbage_bytes == cut - ends[whole]
        assert list(state.toggles) == RECORDS[1:5][: max(whole - 1, 0)]


@pytest.mark.parametrize("n", range(1, 5))
def test_nothing_after_a_damaged_line_is_believed(n: int) -> None:
    content = bytearray(written(RECORDS))
    start = len(written(RECORDS[:n]))
    content[start + 20] ^= 1
    state = journal.replay(bytes(content))
    assert (state.lines, state.valid_bytes) == (n, start)
    assert state.ended is None


def test_a_missing_line_ends_what_is_believed() -> None:
    lines = written(RECORDS).splitlines(keepends=True)
    assert journal.replay(lines[0] + lines[1] + lines[3]).lines == 2


def test_a_journal_without_its_header_says_nothing() -> None:
    assert journal.replay(journal.encode(toggled(1, 0, "recording"), 0)).lines == 0
    assert journal.replay(b"").header is None


def test_a_second_header_is_not_believed() -> None:
    assert journal.replay(written([header_of(), header_of()])).lines == 1


def test_another_version_is_not_believed() -> None:
    line = json.loads(journal.encode(header_of(), 0))
    line["version"] = 2
    del line["crc"]
    body = json.dumps(line, separators=(",", ":")).encode()[:-1]
    forged = b'%s,"crc":"%08x"}\n' % (body, journal.zlib.crc32(body))
    assert journal.replay(forged).header is None


def test_intervals_are_those_of_the_toggles() -> None:
    state = journal.replay(written(RECORDS))
    assert state.intervals(32_000, RECOVERY) == (Interval(8_000, 16_000, ALICE, ALICE),)
    assert state.opened
    assert state.open_since is None
    assert state.last_position == 24_000


def test_an_open_interval_ends_where_it_is_told_to() -> None:
    state = journal.replay(written([*RECORDS[:2], Toggled(2, 9_000, "start", CALL_END, "recording")]))
    assert state.open_since == RECORDS[1]
    assert state.intervals(20_000, RECOVERY) == (Interval(8_000, 20_000, ALICE, RECOVERY),)
    assert state.intervals(8_000, RECOVERY) == ()


def test_no_interval_goes_beyond_the_end() -> None:
    state = journal.replay(written(RECORDS))
    assert state.intervals(12_000, RECOVERY) == (Interval(8_000, 12_000, ALICE, ALICE),)


def test_an_annulled_opening_never_was() -> None:
    state = journal.replay(written([*RECORDS[:2], Annulled(1)]))
    assert not state.opened
    assert state.intervals(32_000, RECOVERY) == ()


def test_an_annulment_leaves_an_opening_at_the_same_position_alone() -> None:
    records = [*RECORDS[:2], toggled(2, 8_000, "inactive"), toggled(3, 8_000, "recording"), Annulled(1)]
    state = journal.replay(written(records))
    assert state.open_since == records[3]


def test_a_peers_strange_text_survives() -> None:
    header = header_of()
    strange = type(header)(**{**_fields(header), "sip_call_id": 'é"\n\udcff\x00'})
    assert journal.replay(journal.encode(strange, 0)).header == strange


def _fields(header: journal.Header) -> dict[str, object]:
    return {name: getattr(header, name) for name in header.__slots__}
