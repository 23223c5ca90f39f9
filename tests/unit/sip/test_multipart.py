"""The description among other parts: found, replaced, nothing else touched; two readings are refused."""

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.sip.multipart import MAX_PARTS, find_sdp

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
PIDF = b'Content-Type: application/pidf+xml\r\nContent-ID: <a@b>\r\n\r\n<?xml version="1.0"?>\r\n<presence/>'
TYPE = "multipart/mixed;boundary=b1"


def body(*parts: bytes, boundary: bytes = b"b1", end: bytes = b"--") -> bytes:
    return b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--" + boundary + end + b"\r\n"


def sdp_part(head: bytes = b"Content-Type: application/sdp") -> bytes:
    return head + b"\r\n\r\n" + SDP


@pytest.mark.parametrize("parts", [(sdp_part(), PIDF), (PIDF, sdp_part()), (PIDF, sdp_part(), PIDF)])
def test_only_the_description_changes(parts: tuple[bytes, ...]) -> None:
    whole = b"preamble\r\n" + body(*parts) + b"epilogue"
    found = find_sdp(whole, TYPE)
    assert found is not None
    assert found.content == SDP
    assert found.around(SDP) == whole
    assert found.around(b"v=1\r\n") == whole.replace(SDP, b"v=1\r\n")


def test_a_part_s_own_length_is_made_right() -> None:
    head = b"Content-Type: application/sdp\r\ncontent-length :  %d" % len(SDP)
    whole = body(PIDF, sdp_part(head + b"\r\nX-More: %d" % len(SDP)))
    found = find_sdp(whole, TYPE)
    assert found is not None
    assert found.around(SDP) == whole
    changed = found.around(SDP + b"a=x\r\n")
    assert b"content-length :  %d\r\nX-More: %d\r\n" % (len(SDP) + 5, len(SDP)) in changed


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/mixed; boundary="b1"', b"b1"),
        ("multipart/mixed ; charset=x; Boundary=b1", b"b1"),
        ('multipart/mixed;boundary="a b?=\'()"', b"a b?='()"),
        ('multipart/mixed;boundary="a;b,c"', b"a;b,c"),
    ],
)
def test_boundaries(content_type: str, boundary: bytes) -> None:
    found = find_sdp(body(PIDF, sdp_part(), boundary=boundary), content_type)
    assert found is not None
    assert found.content == SDP


@pytest.mark.parametrize(
    "head",
    [
        b"content-TYPE : Application/SDP ; charset=utf-8",
        b"Content-Type:\r\n application/sdp",
        b"Content-Disposition: session;handling=required\r\nContent-Type: application/sdp",
        b"Content-Type: application/sdp\r\nContent-Transfer-Encoding: 8bit",
    ],
)
def test_heads_of_a_description(head: bytes) -> None:
    assert find_sdp(body(sdp_part(head)), TYPE) is not None


@pytest.mark.parametrize(
    "whole",
    [
        body(PIDF),
        body(b"\r\n" + SDP),  # no head: plain text
        body(b""),
        body(b"Content-Type: application/sdpx\r\n\r\n" + SDP),
        body(b"Content-Type: multipart/mixed;boundary=x\r\n\r\n--x\r\nContent-Type: application/sdp"),
    ],
)
def test_no_description(whole: bytes) -> None:
    assert find_sdp(whole, TYPE) is None


@pytest.mark.parametrize(
    ("whole", "content_type", "status"),
    [
        (body(sdp_part(), sdp_part()), TYPE, 400),  # which one would the other side take?
        (body(sdp_part()), "multipart/mixed", 415),
        (body(sdp_part()), 'multipart/mixed;boundary=""', 415),
        (body(sdp_part()), f"multipart/mixed;boundary={'b' * 71}", 415),
        (body(sdp_part(), end=b""), TYPE, 400),
        (b"", TYPE, 400),
        (body(sdp_part(), b"x\r\n--b1x\r\ny"), TYPE, 400),
        (body(sdp_part(b"Content-Type: application/sdp\r\nContent-Type: text/plain")), TYPE, 400),
        (body(sdp_part(b"c: application/sdp")), TYPE, 400),
        (body(sdp_part(b"Content-Type: application/sdp\r\nContent-Length: x")), TYPE, 400),
        (body(sdp_part(b"no colon here")), TYPE, 400),
        (body(sdp_part(b"Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64")), TYPE, 415),
        (body(sdp_part(b"Content-Type: application/sdp\r\nContent-Encoding: gzip")), TYPE, 415),
        (body(b"Content-Type: application/sdp"), TYPE, 400),
        (body(*[PIDF] * (MAX_PARTS + 1)), TYPE, 413),
    ],
)
def test_what_is_refused(whole: bytes, content_type: str, status: int) -> None:
    with pytest.raises(Malformed) as caught:
        find_sdp(whole, content_type)
    assert caught.value.status == status
