"""`mediaproxy loadtest` around a run that is played: exit codes, files, what is shown."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mediaproxy.cli import app
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.outcome import Outcome
from mediaproxy.loadtest.plan import Broken, Plan, Record, Tell
from tests.support.load_outcomes import counts, outcome

Play = Callable[[Outcome | Broken], None]


@pytest.fixture
def plans() -> list[Plan]:
    return []


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plans: list[Plan]) -> Play:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def play(what: Outcome | Broken) -> None:
        async def run(plan: Plan, directory: Path, tell: Tell, stop: object, at: object) -> Outcome:
            plans.append(plan)
            tell("talking", 1, 2)
            if isinstance(what, Broken):
                raise what
            return what

        monkeypatch.setattr(import_module("mediaproxy.cli.loadtest"), "run", run)  # not the command

    return play


def loadtest(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["loadtest", *arguments])


def test_a_good_run_exits_0_and_leaves_what_was_asked_for_only(
    play: Play, plans: list[Plan], tmp_path: Path
) -> None:
    play(outcome(counts(), []))
    shown = loadtest(
        "--calls", "2", "--cps", "10", "--duration", "1", "--record", "random", "--seed", "9",
        "--json", str(tmp_path / "figures.json"), "--report", str(tmp_path / "report"),
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    assert plans == [Plan(2, 10.0, 1.0, Record.RANDOM, 9, Network(seed=9))]
    assert json.loads((tmp_path / "figures.json").read_text())["good"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures.json", "report"]


@pytest.mark.parametrize("fault", ["call 1: 3 samples differ", "call 1: no row in the call log"])
def test_a_wrong_sample_or_row_exits_1_and_says_so(play: Play, fault: str) -> None:
    play(outcome(counts(), [fault]))
    shown = loadtest()
    assert shown.exit_code == 1
    assert fault in shown.output


def test_a_lost_packet_exits_1_and_says_so(play: Play) -> None:
    play(outcome(counts(lost=1), []))
    shown = loadtest()
    assert shown.exit_code == 1
    assert "1 packets lost" in shown.output


def test_a_run_that_broke_off_exits_1_and_says_why(play: Play) -> None:
    play(Broken("call 3 was answered with 503"))
    shown = loadtest()
    assert shown.exit_code == 1
    assert "call 3 was answered with 503" in shown.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--calls", "0"),
        ("--calls", "100001"),
        ("--cps", "0"),
        ("--cps", "nan"),
        ("--duration", "7201"),
        ("--duration", "nan"),
        ("--record", "some"),
        ("--dtmf",),
        ("--hold", "--duration", "2"),
        ("--codec", "opus"),
        ("--codec", "g722", "--record", "random"),
        ("--loss", "51"),
        ("--soak", "soon"),
        ("--soak", "5s"),
        ("--soak", "1m", "--find-limit"),
        ("--target", "udp:127.0.0.1:5060"),
        ("--target", "tcp:127.0.0.1:5060", "--token", "x"),
        ("--target", "udp:127.0.0.1", "--token", "x"),
        ("--target", "udp:127.0.0.1:5060", "--token", "x", "--api", "127.0.0.1:8080"),
        ("--target", "udp:127.0.0.1:5060", "--token", "x", "--agent", "phone:5080"),
    ],
)
def test_what_cannot_be_run_exits_2(play: Play, plans: list[Plan], arguments: tuple[str, ...]) -> None:
    play(outcome(counts(), []))
    assert loadtest(*arguments).exit_code == 2
    assert plans == []
