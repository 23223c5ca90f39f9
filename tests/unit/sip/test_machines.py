"""Every row of the four tables, as timelines: RFC 3261 17 and RFC 6026, in virtual time."""

from dataclasses import dataclass

import pytest

from mediaproxy.sip import client_transaction, machines, server_transaction
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.machines import Input, State, Table
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import Output, TransactionId, Transmit
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import respond
from tests.support.sip_build import TCP, UDP, new_layer, ns, request_in, request_out, told

Step = tuple[float, str, str]
"""`(seconds, input, what comes of it)`. `gone` at the end of the latter: the transaction is over."""


@dataclass
class Bench:
    """One transaction under test, fed with words."""

    flow: Flow
    method: str

    def __post_init__(self) -> None:
        self.core = new_layer()
        self.id = TransactionId(1)
        self.sent: Request | None = None

    def start_client(self) -> list[Output]:
        self.core.send_request(request_out(self.method), self.flow, now_ns=0)
        outputs = self.core.drain()
        assert isinstance(outputs[0], Transmit)
        sent = parse_message(outputs[0].data)
        assert isinstance(sent, Request)
        self.sent = sent
        return outputs

    def feed(self, at: float, word: str) -> list[Output]:
        now_ns = ns(at)
        if word == "start client":
            return self.start_client()
        if word == "timer":
            assert self.core.next_deadline() == pytest.approx(at, abs=1e-6)
            self.core.handle_timer(now=self.core.next_deadline() or 0.0)
        elif word == "nothing":
            self.core.handle_timer(now=at)
        elif word == "error":
            self.core.transport_failed(self.id, now_ns=now_ns)
        elif word == "cancel":
            self.core.cancel(self.id, now_ns=now_ns)
        elif word.startswith("send "):
            self.send(word.removeprefix("send "), now_ns)
        elif word.isdigit():
            self.core.receive_message(self.response(int(word)), self.flow, now_ns=now_ns)
        else:
            self.core.receive_message(self.request(word), self.flow, now_ns=now_ns)
        return self.core.drain()

    def response(self, status: int) -> Response:
        assert self.sent is not None
        return respond(self.sent, status, tag="theirs")

    def send(self, word: str, now_ns: int) -> None:
        request = self.request(self.method)
        self.core.send_response(self.id, respond(request, int(word), tag="ours"), now_ns=now_ns)

    def request(self, word: str) -> Request:
        method, _, which = word.partition(" ")
        if which == "2xx":  # the ACK of a 2xx has a branch of its own
            return request_in("ACK", branch="z9hG4bKack", to_tag="ours")
        return request_in(method, to_tag="ours" if method == "ACK" else "")


def client(method: str, flow: Flow, *steps: Step) -> tuple[str, Flow, tuple[Step, ...]]:
    return method, flow, ((0.0, "start client", method), *steps)


def server(method: str, flow: Flow, *steps: Step) -> tuple[str, Flow, tuple[Step, ...]]:
    return method, flow, ((0.0, method, f"^{method}"), *steps)


SCENARIOS = {
    # 17.1.1.2: A doubles without a cap, B ends it at 64*T1
    "invite client, no answer": client(
        "INVITE",
        UDP,
        (0.5, "timer", "INVITE"),
        (1.5, "timer", "INVITE"),
        (3.5, "timer", "INVITE"),
        (7.5, "timer", "INVITE"),
        (15.5, "timer", "INVITE"),
        (31.5, "timer", "INVITE"),
        (32.0, "timer", "^timed out gone"),
    ),
    "invite client, no answer, tcp": client("INVITE", TCP, (32.0, "timer", "^timed out gone")),
    "invite client, not sent": client("INVITE", UDP, (0.1, "error", "^failed gone")),
    "invite client, 1xx stops repeating": client(
        "INVITE",
        UDP,
        (0.5, "timer", "INVITE"),
        (0.6, "180", "^180"),
        (0.7, "183", "^183"),
        (60, "nothing", ""),
        (61, "200", "^200"),
        (61.5, "200", ""),
        (93.0, "timer", "gone"),
    ),
    "invite client, 2xx at once": client(
        "INVITE", UDP, (0.1, "200", "^200"), (20, "200", ""), (20, "180", ""), (32.1, "timer", "gone")
    ),
    "invite client, 2xx, tcp": client("INVITE", TCP, (0.1, "200", "^200"), (32.1, "timer", "gone")),
    "invite client, refused": client(
        "INVITE",
        UDP,
        (0.1, "486", "ACK ^486"),
        (0.6, "486", "ACK"),
        (0.7, "200", ""),
        (32.1, "timer", "gone"),
    ),
    "invite client, refused after 1xx": client(
        "INVITE", UDP, (0.1, "100", "^100"), (5, "603", "ACK ^603"), (6, "error", "gone")
    ),
    "invite client, refused, tcp": client("INVITE", TCP, (0.1, "404", "ACK ^404 gone")),
    # 9.1
    "invite client, cancelled late": client(
        "INVITE",
        TCP,
        (0.1, "180", "^180"),
        (1.0, "cancel", "CANCEL"),
        (1.1, "cancel", ""),
        (1.2, "487", "ACK ^487 gone"),
    ),
    "invite client, cancelled before a 1xx": client(
        "INVITE",
        UDP,
        (0.1, "cancel", ""),
        (0.5, "timer", "INVITE"),
        (0.6, "100", "^100 CANCEL"),
        (0.7, "180", "^180"),
        (0.8, "487", "ACK ^487"),
    ),
    "invite client, cancelled and silent": client(
        "INVITE",
        TCP,
        (0.1, "180", "^180"),
        (1.0, "cancel", "CANCEL"),
        (33.0, "timer", "^timed out gone"),
    ),
    # 17.1.2.2: E doubles up to T2; after a 1xx it runs every T2; F at 64*T1
    "client, no answer": client(
        "OPTIONS",
        UDP,
        *((at, "timer", "OPTIONS") for at in (0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)),
        (32.0, "timer", "^timed out gone"),
    ),
    "client, no answer, tcp": client("OPTIONS", TCP, (32.0, "timer", "^timed out gone")),
    "client, not sent": client("BYE", UDP, (0.1, "error", "^failed gone")),
    "client, 1xx slows repeating": client(
        "OPTIONS",
        UDP,
        (0.1, "100", "^100"),
        (0.5, "timer", "OPTIONS"),
        (4.5, "timer", "OPTIONS"),
        (4.6, "100", "^100"),
        (8.5, "timer", "OPTIONS"),
        (9.0, "200", "^200"),
        (9.1, "200", ""),
        (14.0, "timer", "gone"),
    ),
    "client, 1xx and then nothing": client(
        "OPTIONS", TCP, (0.1, "100", "^100"), (32.0, "timer", "^timed out gone")
    ),
    "client, 1xx, broken": client("OPTIONS", TCP, (0.1, "100", "^100"), (0.2, "error", "^failed gone")),
    "client, 1xx, refused": client("OPTIONS", TCP, (0.1, "100", "^100"), (0.2, "404", "^404 gone")),
    "client, answered": client("BYE", UDP, (0.1, "200", "^200"), (5.1, "timer", "gone")),
    "client, refused": client("BYE", UDP, (0.1, "481", "^481"), (5.1, "timer", "gone")),
    "client, answered, tcp": client("BYE", TCP, (0.1, "200", "^200 gone")),
    # 17.2.1 and 13.3.1.4
    "invite server, 100 by itself": server(
        "INVITE",
        UDP,
        (0.1, "INVITE", ""),
        (0.2, "timer", "100"),
        (0.5, "INVITE", "100"),
        (1.0, "send 180", "180"),
        (1.2, "ACK", ""),  # of nothing
        (1.5, "INVITE", "180"),
        (2.0, "error", "^failed"),
        (9.0, "send 183", "183"),
    ),
    "invite server, accepted": server(
        "INVITE",
        UDP,
        (0.1, "send 200", "200"),
        (0.3, "INVITE", ""),
        (0.3, "send 486", ""),
        (0.6, "timer", "200"),
        (0.7, "error", "^failed"),
        (1.6, "timer", "200"),
        (2.0, "ACK 2xx", "^ACK"),
        (2.1, "ACK 2xx", ""),
        (2.1, "INVITE", ""),
        (3.6, "timer", ""),
        (32.1, "timer", "gone"),
    ),
    "invite server, accepted, tcp": server(
        "INVITE",
        TCP,
        (0.1, "send 200", "200"),
        *((at, "timer", "200") for at in (0.6, 1.6, 3.6, 7.6, 11.6, 15.6, 19.6, 23.6, 27.6, 31.6)),
        (32.1, "timer", "^ack missing gone"),
    ),
    "invite server, the ACK has the branch of the INVITE": server(
        "INVITE", UDP, (0.1, "send 200", "200"), (0.2, "ACK", "^ACK"), (0.6, "timer", "")
    ),
    "invite server, refused": server(
        "INVITE",
        UDP,
        (0.1, "send 404", "404"),
        (0.3, "INVITE", "404"),
        (0.6, "timer", "404"),
        (1.6, "timer", "404"),
        (3.6, "timer", "404"),
        (7.6, "timer", "404"),
        (11.6, "timer", "404"),
        (12.0, "ACK", ""),
        (12.1, "ACK", ""),
        (12.2, "INVITE", ""),
        (17.0, "timer", "gone"),
    ),
    "invite server, refused, no ACK": server(
        "INVITE",
        UDP,
        (0.0, "send 404", "404"),
        *((at, "timer", "404") for at in (0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)),
        (32.0, "timer", "gone"),
    ),
    "invite server, refused, tcp": server("INVITE", TCP, (0.1, "send 404", "404"), (0.2, "ACK", "gone")),
    "invite server, refused, no ACK, tcp": server(
        "INVITE", TCP, (0.1, "send 404", "404"), (32.1, "timer", "gone")
    ),
    # 17.2.2
    "server, answered": server(
        "OPTIONS",
        UDP,
        (0.1, "OPTIONS", ""),
        (0.2, "send 200", "200"),
        (0.5, "OPTIONS", "200"),
        (0.5, "send 404", ""),
        (0.6, "error", "^failed"),
        (32.2, "timer", "gone"),
    ),
    "server, answered, tcp": server("OPTIONS", TCP, (0.1, "send 200", "200 gone")),
    "server, refused": server("OPTIONS", TCP, (0.1, "send 404", "404 gone")),
    "server, 1xx first": server(
        "OPTIONS",
        UDP,
        (0.1, "send 100", "100"),
        (0.2, "OPTIONS", "100"),
        (0.3, "send 100", "100"),
        (0.4, "error", "^failed"),
        (0.5, "send 200", "200"),
    ),
    "server, 1xx, refused": server("OPTIONS", TCP, (0.1, "send 100", "100"), (0.2, "send 404", "404 gone")),
    "server, 1xx and then nothing": server("OPTIONS", UDP, (0.1, "send 100", "100"), (32.0, "timer", "gone")),
    "server, never answered": server("OPTIONS", UDP, (32.0, "timer", "gone"), (33.0, "send 200", "gone")),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_timeline(name: str) -> None:
    run(name)


def run(name: str) -> None:
    method, flow, steps = SCENARIOS[name]
    bench = Bench(flow, method)
    for at, word, expected in steps:
        said = [told(output) for output in bench.feed(at, word)]
        if bench.id not in bench.core._by_id:
            said.append("gone")
        assert " ".join(said) == expected, f"{word} at {at}"


class Recording(dict):  # type: ignore[type-arg]
    """A table that remembers which of its rows were taken."""

    def __init__(self, rows: Table) -> None:
        super().__init__(rows)
        self.taken: set[tuple[State, Input]] = set()

    def get(self, key: tuple[State, Input], default: object = None) -> object:
        self.taken.add(key)
        return super().get(key, default)


TABLES = ("INVITE_CLIENT", "CLIENT", "INVITE_SERVER", "SERVER")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, Recording]:
    tables = {name: Recording(getattr(machines, name)) for name in TABLES}
    for name, table in tables.items():
        module = client_transaction if name.endswith("CLIENT") else server_transaction
        monkeypatch.setattr(module, name, table)
    return tables


def test_the_timelines_take_every_row(recorded: dict[str, Recording]) -> None:
    for name in SCENARIOS:
        run(name)
    for name, table in recorded.items():
        assert set(table) - table.taken == set(), name


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_left(name: str) -> None:
    table: Table = getattr(machines, name)
    reached = {state for state, _ in table.values()} - {State.TERMINATED}
    left = {state for (state, _), (after, _) in table.items() if after is not state}
    assert reached <= left
