"""Descriptions in and out as files: `NAME.in` as a sender wrote it, `NAME.out` as the other leg reads it.

In `.out` our own values stand as {session}, {address}, {rtp} and {rtcp}.
"""

from pathlib import Path

import pytest

from mediaproxy.net import Endpoint
from mediaproxy.sdp.anchor import Origin
from mediaproxy.sdp.audio import read_offer
from mediaproxy.sdp.description import parse

PAIRS = sorted((Path(__file__).parents[2] / "golden" / "sdp").glob("*.in"))
LOCALS = {"ip6": Endpoint("2001:db8::1", 20000)}


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_anchored_as_written_down(path: Path) -> None:
    local = LOCALS.get(path.stem.split("-")[0], Endpoint("203.0.113.1", 20000))
    description = parse(path.read_bytes())
    out = Origin(4711).anchor(description, read_offer(description).index, local)
    wanted = path.with_suffix(".out").read_bytes()
    for name, value in (("session", 4711), ("address", local.host), ("rtp", 20000), ("rtcp", 20001)):
        wanted = wanted.replace(b"{%b}" % name.encode(), str(value).encode())
    assert out == wanted


def test_there_are_pairs() -> None:
    assert len(PAIRS) >= 8
