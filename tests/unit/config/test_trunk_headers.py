"""Headers of a trunk's INVITEs in the configuration: which may be named at all."""

from collections.abc import Callable

import pytest

from mediaproxy.calls.model import HeaderRules
from mediaproxy.config import Config, plan

Loads = Callable[..., Config]
Refusals = Callable[..., list[str]]

TRUNK = '[[trunks]]\nname = "carrier"\naddress = "127.0.0.2:5060"\n'


def test_rules_are_as_they_are_written(loads: Loads) -> None:
    text = (
        'headers = {remove = ["X-A"], set = {X-B = "b", X-C = ""}, add = {P-Asserted-Identity = "<sip:x@y>"}}'
    )
    (trunk,) = plan(loads(TRUNK + text)).trunks
    assert trunk.headers == HeaderRules(
        ("X-A",), (("X-B", "b"), ("X-C", "")), (("P-Asserted-Identity", "<sip:x@y>"),)
    )
    (trunk,) = plan(loads(TRUNK)).trunks
    assert trunk.headers is None


@pytest.mark.parametrize(
    "name",
    [
        *("Via", "v", "From", "f", "TO", "Call-ID", "i", "CSeq", "Contact", "m", "Route", "Record-Route"),
        *("Content-Type", "c", "Content-Length", "Content-Whatever", "Authorization", "Proxy-Authorization"),
        *(
            "Max-Forwards",
            "Require",
            "Diversion",
            "Identity",
            "y",
            "Geolocation",
            "Geolocation-Routing",
            "Reason",
        ),
        *("", "X A", "X:A", "X" * 65),
    ],
)
@pytest.mark.parametrize("how", ['remove = ["{}"]', 'set = {{"{}" = "x"}}', 'add = {{"{}" = "x"}}'])
def test_a_header_that_is_not_the_operators_is_refused(refusals: Refusals, name: str, how: str) -> None:
    said = refusals(f"{TRUNK}headers = {{{how.format(name)}}}")
    assert any("trunks[0].headers" in one for one in said), said
    assert any("leave it out" in one or "not a header" in one for one in said), said


@pytest.mark.parametrize("value", ["a\\r\\nVia: x", "a\\u0000", " a", "a" * 513, "a\\n b"])
def test_a_value_is_one_line(refusals: Refusals, value: str) -> None:
    assert refusals(f'{TRUNK}headers = {{add = {{X-A = "{value}"}}}}')
