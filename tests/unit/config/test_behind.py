"""Agents behind a PBX: what the configuration makes of them, and what is refused."""

from collections.abc import Callable

import pytest

from mediaproxy.calls.model import AgentFrom
from mediaproxy.config import Config, check, plan

Loads = Callable[..., Config]

PBX = """
[api]
tokens = [{token = "x", role = "admin"}]
[[trunks]]
name = "carrier"
address = "192.0.2.1"
[[trunks]]
name = "pbx"
address = "192.0.2.2"
agent_from = "header:X-Agent"
[[agents]]
name = "carol"
trunk = "pbx"
"""
ROUTES = """
[[routes]]
from = "trunk:carrier"
to = "*"
trunk = "pbx"
"""


def test_the_plan_knows_who_is_where(loads: Loads) -> None:
    config = loads(PBX + 'recording = "off"' + ROUTES)
    assert check(config) == []
    made = plan(config)
    assert [trunk.agent_from for trunk in made.trunks] == [None, AgentFrom("header", "X-Agent")]
    (carol,) = made.agents
    assert (carol.trunk, carol.registers, carol.target) == ("pbx", False, None)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            PBX.replace('trunk = "pbx"', 'trunk = "carrier"'),
            "agents.carol.trunk = carrier: no trunk that says",
        ),
        (PBX.replace('agent_from = "header:X-Agent"', ""), "agents.carol.trunk = pbx: no trunk that says"),
        (PBX + 'recording = "automatic"', "agents.carol.recording = automatic: a call may begin before"),
        (
            PBX + '[[routes]]\nfrom = "trunk:carrier"\nto = "*"\nagent = "carol"',
            'routes[0].agent = carol: is behind a PBX, which alone can reach it; write trunk = "pbx"',
        ),
        (
            PBX + '[[routes]]\nfrom = "agent:carol"\nto = "*"\ntrunk = "carrier"',
            "routes[0].from = agent:carol: is behind a PBX, from which its calls come; write from =",
        ),
    ],
)
def test_what_would_not_do_what_was_meant(loads: Loads, text: str, line: str) -> None:
    assert any(str(one).startswith(f"error: FILE: {line}") for one in check(loads(text), "FILE"))


@pytest.mark.parametrize("text", ["header:", "header:X Agent", "X-Agent", "", "PAI", "header:" + "x" * 65])
def test_a_place_that_is_none(refusals: Callable[[str], list[str]], text: str) -> None:
    (said,) = refusals(PBX.replace("header:X-Agent", text))
    assert "trunks[1].agent_from" in said
    assert 'write "header:NAME"' in said


@pytest.mark.parametrize("value", ['["X Ticket"]', '["a:b"]', str([f"X-{n}" for n in range(17)])])
def test_headers_that_are_none(refusals: Callable[[str], list[str]], value: str) -> None:
    (said,) = refusals(f"[sip]\nmetadata_headers = {value}")
    assert "sip.metadata_headers" in said
