from mediaproxy.net import Endpoint
from mediaproxy.sdp.anchor import Origin
from mediaproxy.sdp.description import parse

LOCAL = Endpoint("203.0.113.1", 20000)
BODY = (
    b"v=0\r\no=- 1 %d IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP %d\r\n"
)


def version(body: bytes) -> int:
    (line,) = [line for line in body.split(b"\r\n") if line.startswith(b"o=")]
    return int(line.split()[2])


def test_the_version_rises_with_the_content_alone() -> None:
    origin = Origin(7)

    def said(*values: int) -> int:
        return version(origin.anchor(parse(BODY % values), 0, LOCAL))

    assert [said(1, 0), said(1, 0), said(2, 0), said(3, 8), said(4, 0)] == [1, 1, 1, 2, 3]


def test_the_session_id_stays_for_the_leg() -> None:
    origin = Origin(7)
    bodies = [origin.anchor(parse(BODY % (1, payload)), 0, LOCAL) for payload in (0, 8)]
    assert all(b"o=- 7 " in body for body in bodies)


def test_what_we_anchor_twice_stays_the_same() -> None:
    once = Origin(7).anchor(parse(BODY % (1, 0)), 0, LOCAL)
    assert Origin(7).anchor(parse(once), 0, LOCAL) == once
