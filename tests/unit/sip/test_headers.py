"""Header fields: found however they are spelt, passed on as they were spelt."""

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.sip.headers import Headers, parse_headers

LINES = [
    "v: SIP/2.0/UDP a",
    "X-Odd :  keep  me ",
    "VIA:SIP/2.0/UDP b, SIP/2.0/UDP c",
    "Route: <sip:p1;lr>,\r\n <sip:p2;lr>",
    "sUpported: a",
    "Route: <sip:p3;lr>",
    "k: B , c",
]
HEADERS = parse_headers(LINES)


def test_what_nobody_touches_stays_byte_for_byte() -> None:
    assert str(HEADERS) == "".join(f"{line}\r\n" for line in LINES)


@pytest.mark.parametrize("name", ["Via", "via", "v", "V", "VIA"])
def test_names_are_found_in_any_spelling(name: str) -> None:
    assert HEADERS.first(name) == "SIP/2.0/UDP a"
    assert HEADERS.all(name) == ["SIP/2.0/UDP a", "SIP/2.0/UDP b, SIP/2.0/UDP c"]
    assert name in HEADERS


def test_a_blank_before_the_colon_hides_nothing() -> None:
    assert HEADERS.first("x-odd") == "keep  me"
    assert [header.name for header in HEADERS][1] == "X-Odd"


def test_lists_and_repeated_fields_are_one_list_in_order() -> None:
    assert HEADERS.elements("Route") == ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]
    assert HEADERS.tokens("Supported") == {"a", "b", "c"}


def test_setting_replaces_the_first_and_removes_the_others() -> None:
    changed = HEADERS.with_("Route", "<sip:x;lr>")
    assert [header.key for header in changed] == ["via", "x-odd", "via", "route", "supported", "supported"]
    assert changed.all("Route") == ["<sip:x;lr>"]
    assert HEADERS.with_("New", 1).first("New") == "1"
    assert HEADERS.first("Route") == "<sip:p1;lr>, <sip:p2;lr>"  # the original is untouched


def test_the_first_element_alone_is_replaced() -> None:
    headers = parse_headers(["Route: <sip:p0>", "v: SIP/2.0/UDP b, SIP/2.0/UDP c"])
    assert str(headers.with_first_element("Via", "X")) == "Route: <sip:p0>\r\nv: X, SIP/2.0/UDP c\r\n"


def test_removing_and_picking() -> None:
    assert str(HEADERS.only("k")) == "sUpported: a\r\nk: B , c\r\n"
    assert [header.key for header in HEADERS.without("VIA", "Route")] == ["x-odd", "supported", "supported"]
    assert HEADERS.only("v") + HEADERS.without("v") != HEADERS


def test_putting_on_top_and_at_the_end() -> None:
    headers = Headers.of(("A", 1)).prepended("B", 2).appended("C", 3)
    assert str(headers) == "B: 2\r\nA: 1\r\nC: 3\r\n"


def test_too_many_elements() -> None:
    with pytest.raises(Malformed):
        Headers.of(("Route", ",".join(["<sip:a>"] * 65))).elements("Route")


def test_tokens_are_read_whatever_they_are() -> None:
    headers = Headers.of(("Require", 'A;b="x, , "'), ("Require", ",".join(["t"] * 1000) + ',"'))
    assert headers.tokens("require") == {"a", '"', "t"}
    assert Headers().tokens("require") == frozenset()
