"""The files that are delivered, and what the call core makes of them."""

import tomllib
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from mediaproxy.calls.model import Agent, EmergencyPlan, Policy, RecordingPolicy, Route, Target, Trunk
from mediaproxy.calls.plane import Latch
from mediaproxy.config import Config, check, json_schema, load, needs_restart, plan
from mediaproxy.net import Endpoint

CONFIGS = Path(__file__).parents[3] / "configs"
CONTRACT = CONFIGS.parents[1] / "shared" / "design" / "acceptance.toml"

ON_DEMAND = RecordingPolicy(Policy.ON_DEMAND, True)


@pytest.mark.parametrize("name", ["example.toml", "acceptance.toml"])
def test_a_delivered_configuration_has_no_findings(name: str) -> None:
    assert check(load(CONFIGS / name)) == []


def test_the_readme_s_configuration_has_no_findings(loads: Callable[..., Config]) -> None:
    readme = (CONFIGS.parent / "README.md").read_text()
    text = readme.partition("```toml\n")[2].partition("```")[0]
    assert "[[routes]]" in text
    assert check(loads(text)) == []


def test_the_example_shows_every_key_with_its_default() -> None:
    shown = tomllib.loads((CONFIGS / "example.toml").read_text())
    defaults = Config()
    for section in ("media", "storage", "database", "recording"):
        expected = getattr(defaults, section).model_dump(mode="json", exclude_none=True)
        assert shown[section] == expected


def test_the_example_shows_every_key_of_its_tables() -> None:
    shown = tomllib.loads((CONFIGS / "example.toml").read_text())
    definitions = json_schema()["$defs"]
    for name, section in (("trunks", "Trunk"), ("agents", "Agent"), ("routes", "Route")):
        keys = set(definitions[f"{section}Section"]["properties"])
        assert keys == {key for table in shown[name] for key in table}, name


def test_the_acceptance_configuration_is_the_contracts() -> None:
    if not CONTRACT.is_file():
        pytest.skip("the contract's papers are not beside the project")
    assert tomllib.loads((CONFIGS / "acceptance.toml").read_text()) == tomllib.loads(CONTRACT.read_text())


def test_calls_for_help(loads: Callable[..., Config]) -> None:
    assert plan(loads("")).emergency is None
    text = '[[trunks]]\nname = "a"\naddress = "192.0.2.1"\n[emergency]\nnumbers = ["112"]\ntrunks = ["a"]\n'
    assert plan(loads(text)).emergency == EmergencyPlan(frozenset({"112"}), ("a",))
    said = plan(loads(text + 'caller_id = "+49301"\nrecording = "automatic"\n')).emergency
    assert said == EmergencyPlan(frozenset({"112"}), ("a",), "+49301", RecordingPolicy(Policy.AUTOMATIC))


def test_the_plan_says_what_the_file_says() -> None:
    made = plan(load(CONFIGS / "acceptance.toml"))
    assert made.domain == "pbx.example"
    assert made.trunks == (
        Trunk("carrier", Target("udp", Endpoint("127.0.0.2", 15070)), (ip_network("127.0.0.2/32"),)),
    )
    assert made.agents[0] == Agent(
        "alice", "sip:alice@127.0.0.3:15080", Target("udp", Endpoint("127.0.0.3", 15080))
    )
    assert made.routes == (
        Route("trunk:carrier", "+15550100", agent="alice", recording=ON_DEMAND),
        Route("trunk:carrier", "+15550101", agent="alice", recording=RecordingPolicy(Policy.AUTOMATIC)),
        Route("trunk:carrier", "+15550102", agent="alice", recording=RecordingPolicy(Policy.OFF)),
        Route("agent:*", "+*", trunk="carrier"),
    )
    assert made.codes == (("start", "*1"), ("stop", "*2"), ("toggle", "*3"))
    assert (made.ring_timeout_s, made.media_timeout_s, made.max_calls) == (120.0, 60.0, 0)


def test_details_reach_the_plan(loads: Callable[..., Config]) -> None:
    made = plan(
        loads("""
            [recording]
            policy = "automatic"
            pausable = false
            [[trunks]]
            name = "t"
            address = "tcp:[2001:db8::1]:5080"
            latch = "always"
            [[agents]]
            name = "a"
            contact = "sip:a@[2001:DB8::2];transport=TCP"
            latch = "never"
            recording = "on_demand"
            [[agents]]
            name = "b"
            contact = "sip:192.0.2.1:5070;maddr=192.0.2.3"
            recording = "on_demand"
            pausable = true
        """)
    )
    assert made.recording == RecordingPolicy(Policy.AUTOMATIC, False)
    trunk = Trunk(
        "t", Target("tcp", Endpoint("2001:db8::1", 5080)), (ip_network("2001:db8::1"),), Latch.ALWAYS
    )
    assert made.trunks == (trunk,)
    first, second = made.agents
    assert first.target == Target("tcp", Endpoint("2001:db8::2", 5060))
    assert (first.latch, first.recording) == (Latch.NEVER, RecordingPolicy(Policy.ON_DEMAND, False))
    assert second.target == Target("udp", Endpoint("192.0.2.3", 5070))
    assert second.recording == RecordingPolicy(Policy.ON_DEMAND, True)


def test_a_reload_says_what_waits_for_a_restart(loads: Callable[..., Config]) -> None:
    old = loads('[sip]\ndomain = "a"\n[storage]\ndirectory = "x"')
    new = loads('[sip]\ndomain = "b"\nlisten = ["udp:127.0.0.1:1"]\n[storage]\ndirectory = "y"\n')
    assert needs_restart(old, new) == ["sip.listen", "storage.directory"]
    assert needs_restart(old, old) == []


def test_a_route_has_codes_legs_and_patience_of_its_own(loads: Callable[..., Config]) -> None:
    text = """
[recording]
dtmf = {start = "*1", stop = "*2", toggle = ""}
max_pause_s = 60
[[agents]]
name = "alice"
contact = "sip:alice@198.51.100.1"
[[routes]]
from = "*"
to = "1"
agent = "alice"
[[routes]]
from = "*"
to = "*"
agent = "alice"
dtmf = {stop = "", pause = "*4"}
dtmf_legs = "both"
max_pause_s = 0
resume_after_max_pause = true
"""
    made = plan(loads(text))
    plain, own = (route.overrides.over(made.recording) for route in made.routes)
    assert (plain.codes, made.codes) == (None, (("start", "*1"), ("stop", "*2")))
    assert (plain.carrier_closes, plain.max_pause_s, plain.resume_after_max_pause) == (False, 60.0, False)
    assert own.codes == (("start", "*1"), ("pause", "*4"))
    assert (own.carrier_closes, own.max_pause_s, own.resume_after_max_pause) == (True, 0.0, True)
