"""Headers that two readers might read in two ways: refused, or passed on with one way to read them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediaproxy.errors import Malformed
from mediaproxy.sip.flow import Flow
from tests.support.phone import PROXY, World, sdp
from tests.support.plans import ALICE, CARRIER, PLAN
from tests.support.strict_sip import Read, read

OURS = ("via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "content-length", "allow")
BASE = (
    f"Via: SIP/2.0/UDP {CARRIER};branch=z9hG4bKsmuggler",
    "Max-Forwards: 70",
    "From: <sip:eve@carrier.example>;tag=e",
    f"To: <sip:+15550100@{PROXY}>",
    "Call-ID: one@carrier",
    "CSeq: 1 INVITE",
    f"Contact: <sip:eve@{CARRIER}>",
    "Content-Type: application/sdp",
    f"Content-Length: {len(sdp())}",
)


def invite(*lines: str) -> bytes:
    head = "\r\n".join((f"INVITE sip:+15550100@{PROXY} SIP/2.0", *lines))
    return head.encode("latin-1") + b"\r\n\r\n" + sdp()


def passed_on(data: bytes) -> bytes | None:
    """What the callee gets, or nothing: it was refused."""
    world = World(PLAN)
    try:
        world.deliver(data, Flow("udp", PROXY, CARRIER))
    except Malformed:
        return None
    world.run(0.01)
    sent = [data for flow, data in world.wire if flow.remote == ALICE]
    answers = [data for flow, data in world.wire if flow.remote == CARRIER]
    for message in (*sent, *answers):
        read(message)
    if not sent:
        assert not answers[-1].startswith((b"SIP/2.0 1", b"SIP/2.0 2"))
    return sent[0] if sent else None


def theirs(message: Read) -> list[tuple[str, str]]:
    return [(name, value) for name, value in message.fields if name not in OURS]


def test_what_is_plain_passes() -> None:
    data = passed_on(invite(*BASE, "Subject: hello"))
    assert data is not None
    assert ("subject", "hello") in theirs(read(data))


@pytest.mark.parametrize(
    "line",
    [
        "Content-Length: 0", "Content-Length : 0", "l: 0", "L:0", "CONTENT-LENGTH\t: 5", "l:\r\n 0",
        "Call-ID: two@carrier", "i: two@carrier", "Call-Id : two@carrier", "To: <sip:other@x>",
        "t: <sip:other@x>",
        "From: <sip:mallory@x>;tag=m", "f: <sip:mallory@x>;tag=m", "CSeq: 2 INVITE", "cseq : 2 BYE",
        "Max-Forwards: 1", "Content-Type: text/plain", "c: text/plain",
        "Content-Disposition: a\r\nContent-Disposition: b",
        "Session-Expires: 90\r\nx: 1800", "X: a\r\n \r\n", "X: a\r\n \t\r\nSubject: b", "X: a\0b", "\0: a",
        "X\0: a", "X Y: a", ": a", "no colon", "X: a\rY: b", "X: a\nY: b", "Sub(ject): x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [0, len(BASE)])
def test_two_readings_are_refused(line: str, at: int) -> None:
    lines = list(BASE)
    lines.insert(at, line)
    assert passed_on(invite(*lines)) is None


def test_a_fold_without_a_line_before_it() -> None:
    assert passed_on(invite(" X: a", *BASE)) is None


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (8, f"Content-Length : {len(sdp())}"), (8, f"l:\r\n\t{len(sdp())}"), (8, f"L:000{len(sdp())}"),
        (3, f"t\t:\r\n <sip:+15550100@{PROXY}>"), (4, "i :one@carrier"), (7, "c:application/sdp"),
        (5, "CSEQ: 1\r\n  INVITE"),
    ],
)  # fmt: skip
def test_other_spellings_are_read_and_made_ours(changed: int, line: str) -> None:
    lines = list(BASE)
    lines[changed] = line
    assert passed_on(invite(*lines)) is not None


@pytest.mark.parametrize("wrong", ["+5", "-1", "5 5", "5, 5", "0x5", "٥", "5\xa0", "", "9" * 30])
def test_lengths_that_are_none(wrong: str) -> None:
    with pytest.raises(Malformed):
        World(PLAN).deliver(
            invite(*BASE[:8]).replace(b"\r\n\r\n", f"\r\nl: {wrong}\r\n\r\n".encode(), 1),
            Flow("udp", PROXY, CARRIER),
        )


NAMES = (
    *(
        "Content-Length",
        "l",
        "Call-ID",
        "i",
        "To",
        "t",
        "From",
        "f",
        "CSeq",
        "Max-Forwards",
        "Content-Type",
        "c",
    ),
    *(
        "Subject",
        "s",
        "X-Odd",
        "Geolocation",
        "P-Asserted-Identity",
        "Supported",
        "k",
        "Accept",
        "Date",
        "\0X",
    ),
)
VALUES = (
    "x",
    "0",
    "5",
    "<sip:a@b>",
    "1 INVITE",
    "",
    "a, b",
    '"q, \\"',
    "\0",
    "é",
    "application/sdp",
    "100rel",
    "a;b",
)
EXTRA = st.builds(
    lambda name, before, after, value: name + before + ":" + after + value,
    st.sampled_from(NAMES),
    st.sampled_from(["", " ", "\t", "  "]),
    st.sampled_from(["", " ", "\r\n ", "\r\n\t", "\r\n \r\n ", "\r", "\n", "\r\n"]),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map("\r\n ".join) | st.sampled_from(VALUES),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(BASE)), EXTRA), min_size=1, max_size=3))
def test_what_passes_reads_as_it_was_read(extra: list[tuple[int, str]]) -> None:
    lines = list(BASE)
    for at, line in extra:
        lines.insert(at, line)
    data = invite(*lines)
    sent = passed_on(data)
    if sent is None:
        return
    before = read(data)  # whatever passed can be read in one way
    kept = [(name, value) for name, value in theirs(before) if name != "supported"]
    assert [(name, value) for name, value in theirs(read(sent)) if name != "supported"] == kept
