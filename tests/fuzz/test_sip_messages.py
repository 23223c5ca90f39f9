"""Any bytes give a value or `Malformed`, and what was read once reads the same again."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.address import NameAddr, parse_name_addr
from mediaproxy.sip.messages import Request, parse_cseq
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import answer_malformed, respond, stamp
from mediaproxy.sip.uri import Uri, parse_uri
from mediaproxy.sip.via import Via, parse_via

pytestmark = pytest.mark.slow

SOURCE = Endpoint("2001:db8::1", 5061)
SEED = (
    b"INVITE sip:bob@biloxi.com;x=y?h=v SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP pc33.atlanta.com:5060;rport;branch=z9hG4bK7\r\n"
    b'Max-Forwards: 70\r\nt: "Bob, \\"B\\"" <sip:bob@biloxi.com>\r\nFrom: Alice <sip:a@[::1]:9>;tag=19\r\n'
    b"Call-ID: a84b@pc33\r\nCSeq: 31 INVITE\r\nm: <sip:alice@pc33.atlanta.com>\r\n"
    b"Route: <sip:p;lr>,\r\n <sip:q>\r\nContent-Length: 4\r\n\r\nv=0\n"
)
SYNTAX = [bytes([byte]) for byte in b' \t:;,<>"\\@=%?[]/*\x00\xff\r\n']
WORDS = [b"", b"\r\n", b"\r\n\r\n", b"%4", b"SIP/2.0", b"sip:", b"Via: ", b"l: ", b"99999999999"]
PIECES = st.sampled_from(SYNTAX + WORDS)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The seed with some stretches replaced by what a parser may stumble over."""
    data = SEED
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 6)))
        data = data[:start] + draw(PIECES | st.binary(max_size=4)) + data[end:]
    return data


def hold(data: bytes) -> None:
    try:
        message = parse_message(data)
    except Malformed as error:
        answer = answer_malformed(data, error, SOURCE)
        assert answer is None or answer[0].startswith(b"SIP/2.0 ")
        return
    assert parse_message(message.encode()).encode() == message.encode()
    assert message.contact is None or message.contact.uri
    if isinstance(message, Request):
        stamped = stamp(message, SOURCE)
        assert parse_message(stamped.encode()).via.reply_to.host == SOURCE.host
        parse_message(respond(message, 200, tag="t").encode())


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    hold(data)


@settings(max_examples=400)
@given(damaged())
@example(SEED)
def test_damaged_messages(data: bytes) -> None:
    hold(data)


Parse = Callable[[str], object]
TEXTS = st.text(st.sampled_from('sip:tel.@aB1%2;=?,<>"\\[]/ \t+-\x00ü\udcff'), max_size=40)


@pytest.mark.parametrize("parse", [parse_uri, parse_name_addr, parse_via, parse_cseq])
@given(text=TEXTS | st.text(max_size=20))
@settings(max_examples=200)
def test_any_text(parse: Parse, text: str) -> None:
    try:
        value = parse(text)
    except Malformed:
        return
    assert parse(str(value)) == value


TOKENS = st.text(st.sampled_from("abcXYZ019-.!%*_+`'~"), min_size=1, max_size=8)
NAMES = TOKENS.map(str.lower)
VALUES = st.none() | TOKENS | TOKENS.map(lambda text: f'"{text};,"')
PARAMS = st.lists(st.tuples(NAMES, VALUES), max_size=3).map(tuple)
WORDS_OF_URIS = st.text(st.sampled_from("abcxyz019-.!%*_+'~"), min_size=1, max_size=8)
URI_PARAMS = st.lists(st.tuples(WORDS_OF_URIS, st.none() | WORDS_OF_URIS), max_size=3).map(tuple)
HOSTS = st.sampled_from(["a", "example.com", "192.0.2.1", "::1", "2001:db8::1"])
PORTS = st.none() | st.integers(0, 65535)
USERS = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=8) | st.just("\udcff")
QUERIES = st.just("") | WORDS_OF_URIS
URIS = st.tuples(st.sampled_from(["sip", "sips"]), USERS, HOSTS, PORTS, URI_PARAMS, QUERIES).map(
    lambda parts: Uri(*parts)
)
DISPLAYS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8)


@given(URIS)
def test_uris_read_back(uri: Uri) -> None:
    assert parse_uri(str(uri)) == uri


@given(st.tuples(URIS, DISPLAYS, PARAMS).map(lambda parts: NameAddr(*parts)))
def test_addresses_read_back(address: NameAddr) -> None:
    assert parse_name_addr(str(address)) == address


@given(st.tuples(TOKENS.map(str.upper), HOSTS, PORTS, URI_PARAMS).map(lambda parts: Via(*parts)))
def test_vias_read_back(via: Via) -> None:
    if not via.param("rport"):
        assert parse_via(str(via)) == via
