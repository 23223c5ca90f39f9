"""What is asked of a load test, as a whole."""

import sys
from pathlib import Path

import pytest
import typer

from mediaproxy.cli.loadoptions import command_line, endpoint, plan_of, seconds_of, whereabouts
from mediaproxy.loadtest.plan import Plan, Record
from mediaproxy.net import Endpoint

PLAN = Plan(calls=1, cps=5.0, duration_s=60.0, record=Record.ALL, seed=1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("8h", 28_800), ("1h30m", 5_400), ("90s", 90), ("45", 45), ("1d", 86_400)]
)
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["h", "-1s", "1.5h", "eight", "8 h", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds_of(text)


def test_a_soak_lasts_as_long_as_asked() -> None:
    plan = plan_of(PLAN, soak="8h", limit=False)
    assert plan.soak
    assert plan.seconds == pytest.approx(28_800, abs=1)


def test_a_target_is_read() -> None:
    at = whereabouts(
        "udp:192.0.2.1:5060", "https://pbx.example", "s", ("192.0.2.2:5070", "192.0.2.3:5080", "+1"),
        Path("/rec"), 7,
    )  # fmt: skip
    assert (at.sip, at.carrier, at.agent) == (
        Endpoint("192.0.2.1", 5060), Endpoint("192.0.2.2", 5070), Endpoint("192.0.2.3", 5080),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["192.0.2.1", "192.0.2:5060", "192.0.2.256:5060", "192.0.2.1:0", "[::1]:5060", "a.b.c.d:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        endpoint(text, "--target")


@pytest.mark.parametrize("arguments", [["--token", "secret"], ["--token=secret"]])
def test_a_report_never_holds_the_token(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/x/mediaproxy", "loadtest", *arguments, "--calls", "5"])
    said = command_line()
    assert "secret" not in said
    assert said.endswith("--calls 5")
    assert said.startswith("mediaproxy loadtest --token")
