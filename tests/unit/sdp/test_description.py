import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.errors import Malformed
from mediaproxy.sdp.audio import read_offer
from mediaproxy.sdp.description import parse

BODY = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        BODY.replace(b"\r\n", b"\n"),
        BODY.rstrip(),
        BODY + b"\r\n\r\n",
        BODY + b"a=\xff\xfe\r\n",
        BODY + b"x=unknown \t line\n",
        BODY.replace(b"6000", b"6000/2"),
    ],
)
def test_every_byte_is_kept(body: bytes) -> None:
    assert parse(body).to_bytes() == body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"hello", 400),
        (BODY[5:], 400),
        (BODY.replace(b"v=0", b"v=1"), 400),
        (BODY.replace(b"o=", b"x="), 400),
        (BODY.replace(b"o=-", b"o=-\r\no=-"), 400),
        (BODY.replace(b"s=-", b""), 400),
        (BODY.replace(b"s=-", b"s=\0"), 400),
        (BODY.replace(b"s=-", b"s=\r-"), 400),
        (BODY.replace(b" RTP/AVP 0", b""), 400),
        (BODY.replace(b"6000", b"65536"), 400),
        (BODY.replace(b"6000", b"6000/0"), 400),
        (BODY.replace(b"6000", "６０００".encode()), 400),
        (BODY + b"a=x\r\n" * 2000, 413),
        (BODY + b"a=" + b"x" * 40_000, 413),
    ],
)
def test_what_the_grammar_forbids_is_malformed(body: bytes, status: int) -> None:
    with pytest.raises(Malformed) as caught:
        parse(body)
    assert caught.value.status == status


@given(st.binary(max_size=300))
def test_any_bytes_after_a_good_start_give_a_description_or_malformed(rest: bytes) -> None:
    body = BODY + rest
    try:
        description = parse(body)
        read_offer(description)
    except Malformed:
        return
    assert description.to_bytes() == body


@given(st.lists(st.sampled_from([*BODY.split(b"\r\n"), b"m=audio 0 RTP/AVP 0", b"a=rtcp:", b"a=rtpmap:0"])))
def test_any_order_of_lines_gives_a_description_or_malformed(lines: list[bytes]) -> None:
    body = b"\r\n".join(lines)
    try:
        description = parse(body)
        read_offer(description)
    except Malformed:
        return
    assert description.to_bytes() == body
