"""Trunks of one address, and of several targets."""

from collections.abc import Callable

from mediaproxy.calls.model import Place, Target
from mediaproxy.config.check import check
from mediaproxy.config.plan import plan
from mediaproxy.net import Endpoint
from tests.unit.config.conftest import Loads

TOKEN = '[api]\ntokens = [{token = "0123456789abcdef0123", role = "admin"}]\n'
TRUNK = '[[trunks]]\nname = "carrier"\n'
TWO = 'targets = [{address = "192.0.2.1", priority = 2}, {address = "tcp:192.0.2.9:5070", weight = 7}]\n'


def test_several_targets(loads: Loads) -> None:
    (trunk,) = plan(loads(TRUNK + TWO)).trunks
    first = Target("udp", Endpoint("192.0.2.1", 5060))
    second = Target("tcp", Endpoint("192.0.2.9", 5070))
    assert trunk.places == (Place(first, 2, 0), Place(second, 0, 7))
    assert (trunk.target, trunk.targets) == (first, (first, second))
    assert [str(network) for network in trunk.sources] == ["192.0.2.1/32", "192.0.2.9/32"]


def test_one_address_is_as_before(loads: Loads) -> None:
    (trunk,) = plan(loads(TRUNK + 'address = "192.0.2.1"\n')).trunks
    assert (trunk.places, trunk.targets) == ((), (trunk.target,))


def test_what_is_wrong_with_targets_is_said(refusals: Callable[..., list[str]]) -> None:
    told = "a trunk has one address or several targets; give address, or targets"
    assert refusals(TRUNK) == [f"error: FILE: trunks[0]: {told}"]
    assert refusals(TRUNK + 'address = "192.0.2.1"\n' + TWO) == [f"error: FILE: trunks[0]: {told}"]
    (line,) = refusals(TRUNK + TWO.replace("priority = 2", "priority = 70000"))
    assert line.startswith("error: FILE: trunks[0].targets[0].priority = 70000: ")
    (line,) = refusals(TRUNK + TWO.replace("192.0.2.9", "nowhere"))
    assert line.startswith("error: FILE: trunks[0].targets[1].address = ")


def test_each_target_is_checked(loads: Loads) -> None:
    listen = '[sip]\nlisten = ["udp:192.0.2.7:5060"]\n'
    text = TWO.replace("tcp:192.0.2.9:5070", "192.0.2.7:5060").replace("192.0.2.1", "tls:192.0.2.1")
    said = [str(finding) for finding in check(loads(listen + TOKEN + TRUNK + text), "FILE")]
    assert any(
        "trunks.carrier.targets[1].address = 192.0.2.7:5060: this is where we listen" in one for one in said
    )
    assert any("trunks.carrier.targets[0].address = tls:192.0.2.1: there is no TLS" in one for one in said)
