"""URIs, addresses, Via and the scanners below them, with the RFC's own examples."""

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.address import NameAddr, parse_name_addr
from mediaproxy.sip.grammar import parse_params, quote, split_outside_quotes, unfold, unquote
from mediaproxy.sip.messages import parse_cseq
from mediaproxy.sip.uri import Uri, parse_uri
from mediaproxy.sip.via import Via, parse_via


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:alice@atlanta.com", Uri("sip", "alice", "atlanta.com")),
        (
            "sip:alice:secretword@atlanta.com;transport=tcp",
            Uri("sip", "alice", "atlanta.com", params=(("transport", "tcp"),), password="secretword"),
        ),
        (
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            Uri("sips", "alice", "atlanta.com", headers="subject=project%20x&priority=urgent"),
        ),
        (
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            Uri("sip", "+1-212-555-1212", "gateway.com", params=(("user", "phone"),), password="1234"),
        ),
        ("sip:1212@gateway.com:5070", Uri("sip", "1212", "gateway.com", 5070)),
        (
            "sip:atlanta.com;method=REGISTER",
            Uri("sip", None, "atlanta.com", params=(("method", "REGISTER"),)),
        ),
        ("sip:alice;day=tuesday@atlanta.com", Uri("sip", "alice;day=tuesday", "atlanta.com")),
        ("sip:a?b@atlanta.com", Uri("sip", "a?b", "atlanta.com")),
        ("sip:[2001:db8::10]:5070;lr", Uri("sip", None, "2001:db8::10", 5070, (("lr", None),))),
        ("sip:%61lice@atlanta.com", Uri("sip", "alice", "atlanta.com")),
        ("SIP:sips%3Auser%40example.com@example.net", Uri("sip", "sips:user@example.com", "example.net")),
        ("sip:%C3%A9@example.net", Uri("sip", "é", "example.net")),
        ("sip:%FF%00@example.net", Uri("sip", "\udcff\x00", "example.net")),
        (
            "tel:+1-201-555-0123;phone-context=x",
            Uri("tel", "+1-201-555-0123", params=(("phone-context", "x"),)),
        ),
        ("soap.beep://192.0.2.103:3002", Uri("soap.beep", opaque="//192.0.2.103:3002")),
    ],
)
def test_uri(text: str, uri: Uri) -> None:
    assert parse_uri(text) == uri
    assert parse_uri(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    [
        "", "sip:", "alice", ":x", "1sip:a", "sip:@host", "sip:a@b@c", "sip:a@", "sip:a@b:port",
        "sip:a@b:65536", "sip:a@b:", "sip:a@[::1", "sip:a@[::1]x", "sip:a@[zz]", "sip:a@b;",
        "sip:a@b;;lr", "sip:a@b;=x",
        "sip:a@b;x=", "sip:a b@c", "sip:<a>@b", "sip:a\x00@b", "sip:a%4@b", "sip:a%zz@b", "sip:b ;x",
    ],
)  # fmt: skip
def test_no_uri(text: str) -> None:
    with pytest.raises(Malformed):
        parse_uri(text)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("sip:alice@127.0.0.3:15080", Endpoint("127.0.0.3", 15080)),
        ("sip:alice@127.0.0.3", Endpoint("127.0.0.3", 5060)),
        ("sips:alice@127.0.0.3", Endpoint("127.0.0.3", 5061)),
        ("sip:alice@127.0.0.3;transport=tls", Endpoint("127.0.0.3", 5061)),
        ("sip:[::1]:5070", Endpoint("::1", 5070)),
        ("sip:alice@example.com;maddr=192.0.2.9", Endpoint("192.0.2.9", 5060)),
        ("sip:alice@example.com", None),
        ("tel:+1", None),
    ],
)
def test_where_a_uri_points(text: str, endpoint: Endpoint | None) -> None:
    assert parse_uri(text).endpoint == endpoint


def test_the_transport_of_a_uri() -> None:
    assert parse_uri("sip:a@b").transport == "udp"
    assert parse_uri("sip:a@b;transport=TCP").transport == "tcp"
    assert parse_uri("sip:a@b;transport=tls").transport == "tls"
    assert parse_uri("sips:a@b").transport == "tls"
    assert parse_uri("sips:a@b;transport=tcp").transport == "tls"  # TLS over TCP (26.2.2)
    assert parse_uri("sips:a@b;transport=udp").transport == "tls"  # never less


BOB = Uri("sip", "bob", "biloxi.com")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<sip:bob@biloxi.com>;tag=a6c85cf", NameAddr(BOB, params=(("tag", "a6c85cf"),))),
        ("Bob <sip:bob@biloxi.com>", NameAddr(BOB, "Bob")),
        ("The  Bob<sip:bob@biloxi.com>", NameAddr(BOB, "The Bob")),
        ('"Bob"<sip:bob@biloxi.com>', NameAddr(BOB, "Bob")),
        ('"B <ob>, \\"x\\" \\\\" <sip:bob@biloxi.com>', NameAddr(BOB, 'B <ob>, "x" \\')),
        ("Jürgen <sip:bob@biloxi.com>", NameAddr(BOB, "Jürgen")),
        ("sip:bob@biloxi.com;tag=1", NameAddr(BOB, params=(("tag", "1"),))),
        ("sip:bob@biloxi.com ; tag = 1", NameAddr(BOB, params=(("tag", "1"),))),
        ('<sip:bob@biloxi.com>;x="a;b,c"', NameAddr(BOB, params=(("x", '"a;b,c"'),))),
        ('"" <sip:bob@biloxi.com>', NameAddr(BOB)),
    ],
)
def test_address(text: str, address: NameAddr) -> None:
    assert parse_name_addr(text) == address
    assert parse_name_addr(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "Bob", '"Bob', '"Bob" sip:bob@biloxi.com', "<sip:bob@biloxi.com", "Bell, A <sip:bob@biloxi.com>",
        "<sip:bob@biloxi.com>x", "<sip:bob@biloxi.com>;tag=", '<sip:bob@biloxi.com>;tag="', "<>",
        "sip:bob@biloxi.com?Route=x", "sip:bob,x@biloxi.com", '<sip:b@c>;x="a"b',
    ],
)  # fmt: skip
def test_no_address(text: str) -> None:
    with pytest.raises(Malformed):
        parse_name_addr(text)


def test_a_tag() -> None:
    address = parse_name_addr("<sip:bob@biloxi.com>;x=1")
    assert address.tag is None
    assert address.with_tag("9").tag == "9"
    assert str(address.with_tag("9").with_tag("8")) == "<sip:bob@biloxi.com>;x=1;tag=8"


@pytest.mark.parametrize(
    ("text", "via"),
    [
        (
            "SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7",
            Via("UDP", "erlang.bell-telephone.com", 5060, (("branch", "z9hG4bK87asdks7"),)),
        ),
        (
            "SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1",
            Via(
                "UDP",
                "first.example.com",
                4000,
                (("ttl", "16"), ("maddr", "224.2.0.1"), ("branch", "z9hG4bKa7c6a8dlze.1")),
            ),
        ),
        ("SIP/2.0/tcp [2001:db8::9:1]", Via("TCP", "2001:db8::9:1")),
        (
            "SIP/2.0/UDP a;received=[::1];rport",
            Via("UDP", "a", None, (("received", "[::1]"), ("rport", None))),
        ),
    ],
)
def test_via(text: str, via: Via) -> None:
    assert parse_via(text) == via
    assert parse_via(str(via)) == via


@pytest.mark.parametrize(
    "text",
    [
        "", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 a", "SIP/3.0/UDP a", "SIP/2.0/ a", "HTTP/2.0/UDP a",
        "SIP/2.0/UDP a b", "SIP/2.0/UDP ;branch=1", "SIP/2.0/UDP a;rport=x", "SIP/2.0/UDP a:1:2",
    ],
)  # fmt: skip
def test_no_via(text: str) -> None:
    with pytest.raises(Malformed):
        parse_via(text)


@pytest.mark.parametrize(
    ("text", "source", "stamped"),
    [
        # RFC 3581 4, RFC 3261 18.2.1
        ("SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9", Endpoint("192.0.2.1", 9988),
         "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;branch=z9;received=192.0.2.1"),
        ("SIP/2.0/UDP bobspc.biloxi.com:5060", Endpoint("192.0.2.4", 5060),
         "SIP/2.0/UDP bobspc.biloxi.com:5060;received=192.0.2.4"),
        ("SIP/2.0/UDP 192.0.2.4:5060", Endpoint("192.0.2.4", 9), "SIP/2.0/UDP 192.0.2.4:5060"),
        ("SIP/2.0/UDP 192.0.2.4;received=198.51.100.7", Endpoint("192.0.2.4", 9),
         "SIP/2.0/UDP 192.0.2.4;received=192.0.2.4"),
    ],
)  # fmt: skip
def test_the_receiver_stamps_where_a_request_came_from(text: str, source: Endpoint, stamped: str) -> None:
    assert str(parse_via(text).stamped(source)) == stamped


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("SIP/2.0/UDP a:4540;rport=9988;received=192.0.2.1", Endpoint("192.0.2.1", 9988)),
        ("SIP/2.0/UDP a:4540;received=192.0.2.1", Endpoint("192.0.2.1", 4540)),
        ("SIP/2.0/UDP 192.0.2.1", Endpoint("192.0.2.1", 5060)),
        ("SIP/2.0/UDP [2001:db8::1]:9", Endpoint("2001:db8::1", 9)),
        ("SIP/2.0/UDP 192.0.2.1;maddr=198.51.100.1", Endpoint("192.0.2.1", 5060)),
    ],
)
def test_where_a_response_goes(text: str, endpoint: Endpoint) -> None:
    assert parse_via(text).reply_to == endpoint


@pytest.mark.parametrize("text", ["", "1", "INVITE 1", "1 INVITE x", "-1 INVITE", "2147483648 INVITE", "1 @"])
def test_no_cseq(text: str) -> None:
    with pytest.raises(Malformed):
        parse_cseq(text)


def test_cseq() -> None:
    assert str(parse_cseq("0009  INVITE")) == "9 INVITE"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a, b,c", ["a", "b", "c"]),
        ('"a,b" <sip:x,y>;z="1,\\"2", c', ['"a,b" <sip:x,y>;z="1,\\"2"', "c"]),
        ('"a\\\\", b', ['"a\\\\"', "b"]),
        ("", [""]),
        (",", ["", ""]),
    ],
)
def test_splitting_lists(text: str, parts: list[str]) -> None:
    assert split_outside_quotes(text, ",") == parts


@pytest.mark.parametrize("text", ["", "a", '"', "\\", '\\"', 'x\\\\"y', "ü"])
def test_quoting(text: str) -> None:
    assert unquote(quote(text)) == text


def test_folds_read_as_one_blank() -> None:
    assert unfold(" a \r\n\t b\r\n  c ") == "a b c"


def test_parameters() -> None:
    assert parse_params(' ; A=b;c ; d="e;f"') == (("a", "b"), ("c", None), ("d", '"e;f"'))
