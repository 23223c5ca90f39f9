"""165 bodies of phones, exchanges and browsers; placeholders of test templates are filled in."""

import re
from pathlib import Path

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sdp.anchor import REMOVED, Origin
from mediaproxy.sdp.audio import read_offer
from mediaproxy.sdp.description import parse
from tests.support.corpora import CORPORA, MISSING

BODIES = sorted((CORPORA / "sdp").glob("*.sdp"))
LOCAL = Endpoint("203.0.113.1", 20000)
OURS = (b"o=", b"c=", b"m=", b"a=rtcp:")

pytestmark = pytest.mark.skipif(not BODIES, reason=MISSING)


def fill(body: bytes) -> bytes:
    body = re.sub(rb"\[[a-z_]*ip_type\]", b"4", body)
    body = re.sub(rb"\[[a-z_]*port(\+\d)?\]", b"6000", body)
    return re.sub(rb"\[[a-z_]+\]|%s", b"192.0.2.1", body)


@pytest.fixture(scope="module")
def anchored() -> dict[str, tuple[bytes, bytes]]:
    done = {}
    for path in BODIES:
        body = fill(path.read_bytes())
        try:
            description = parse(body)
            index = read_offer(description).index
        except Malformed:
            continue
        done[path.stem] = (body, Origin(1).anchor(description, index, LOCAL))
    return done


def test_most_are_anchored(anchored: dict[str, tuple[bytes, bytes]]) -> None:
    assert len(anchored) >= 95


def test_what_is_refused_is_refused_for_a_reason() -> None:
    reasons: dict[str, list[str]] = {}
    for path in BODIES:
        try:
            read_offer(parse(fill(path.read_bytes())))
        except Malformed as error:
            reasons.setdefault(error.reason, []).append(path.stem)
    print({reason: (len(names), names[:4]) for reason, names in reasons.items()})
    assert set(reasons) <= {
        "SDP offers no plain RTP audio",
        "SDP address is not numeric",
        "SDP address is multicast",
        "SDP c= line is not IN IP4 or IN IP6",
        "SDP holds a number that is none or out of range",
    }


def test_no_line_that_is_not_ours_changes(anchored: dict[str, tuple[bytes, bytes]]) -> None:
    for name, (body, out) in anchored.items():
        kept = [line for line in body.splitlines(keepends=True) if not line.startswith(OURS) and stays(line)]
        assert [line for line in out.splitlines(keepends=True) if not line.startswith(OURS)] == kept, name


def test_no_media_leads_past_us(anchored: dict[str, tuple[bytes, bytes]]) -> None:
    for name, (_, out) in anchored.items():
        audio = read_offer(parse(out))
        assert audio.rtp in (LOCAL, None), name
        ports = [line.split()[1] for line in out.splitlines() if line.startswith(b"m=")]
        assert [port for port in ports if port != b"0"] == [b"20000"], name
        assert not re.search(rb"a=(candidate|crypto|fingerprint|ice-)", out), name
        addresses = {line.split()[2] for line in out.splitlines() if line.startswith(b"c=")}
        assert addresses <= {b"203.0.113.1", b"0.0.0.0"}, name


def stays(line: bytes) -> bool:
    name = line[2:].split(b":")[0].strip()
    if name == b"acap":
        name = line.split()[1].split(b":")[0]
    return not (line.startswith(b"a=") and name in REMOVED)


def test_the_corpus_is_the_whole_one() -> None:
    assert len(BODIES) == 165
    assert isinstance(BODIES[0], Path)
