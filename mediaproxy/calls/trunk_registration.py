"""Registrations of ours with carriers (RFC 3261 10.2), so that they send their calls here.

A pair (state, input) that is absent is absorbed. In every state but `REMOVED` a deadline runs, or a request
of ours is under way.
"""

from enum import Enum, auto

from mediaproxy.calls.context import Context
from mediaproxy.calls.events import TrunkRegistered
from mediaproxy.calls.leg import flow_to
from mediaproxy.calls.model import Plan, Target, Trunk, TrunkRegister
from mediaproxy.calls.trunk_account import TrunkAccount, proven
from mediaproxy.calls.wire import MAX_FORWARDS
from mediaproxy.errors import Malformed
from mediaproxy.sip.address import NameAddr, parse_name_addr
from mediaproxy.sip.dialog import new_call_id, new_tag
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.grammar import parse_number
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import Event, ResponseReceived, TimedOut, TransactionId, TransportFailed
from mediaproxy.sip.uri import Uri

MAX_EXPIRES_S = 86_400
EARLY_S = 60.0  # before it expires a long binding is refreshed; a short one at its half
MIN_REFRESH_S = 5.0  # whatever a registrar grants
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 300.0  # doubled each time
MAX_RETRY_AFTER_S = 3_600
MAX_CHALLENGES = 2  # in a row: the second because the first one's nonce was stale
REQUEST_TIMEOUT, UNREACHABLE = 408, 503  # what silence and a dead flow amount to (8.1.3.1)
_HOPELESS = frozenset({401, 403, 404, 407})  # asking again soon looks like guessing


class State(Enum):
    RESTING = auto()  # until it is time to register, again or for the first time
    ASKING = auto()
    REMOVING = auto()  # the binding, at our end
    REMOVED = auto()


class TrunkRegistration:
    """One binding. `transactions` is where it enters those requests whose answers it wants."""

    def __init__(
        self,
        context: Context,
        trunk: Trunk,
        register: TrunkRegister,
        account: TrunkAccount,
        transactions: "dict[TransactionId, TrunkRegistration]",
    ) -> None:
        self.trunk = trunk
        self.state = State.RESTING
        self.registered_until: float | None = None
        self.told: bool | None = None
        self._context = context
        self._register = register
        self._account = account
        self._transactions = transactions
        self._expires_s = register.expires_s
        self._deadline: float | None = 0.0  # at once
        self._call_id = new_call_id(context.random)
        self._number = 0
        self._sent: tuple[TransactionId, Request, Flow] | None = None
        self._challenged = 0
        self._brief = 0  # answers 423 in a row
        self._failures = 0

    @property
    def registered(self) -> bool:
        return self.registered_until is not None and self._context.now < self.registered_until

    def next_deadline(self) -> float | None:
        deadlines = [self._deadline, self.registered_until]
        return min((at for at in deadlines if at is not None), default=None)

    def handle_timer(self, *, now: float) -> None:
        if self.registered_until is not None and self.registered_until <= now:
            self.registered_until = None
            self._tell(REQUEST_TIMEOUT)
        if self._deadline is not None and self._deadline <= now:
            self._deadline = None
            self.state = State.ASKING
            self._challenged = self._brief = 0
            self._ask(self._expires_s)

    def remove(self) -> None:
        """Take the binding back, and ask for none again (10.2.2). A refresh under way is not waited for."""
        self._deadline = None
        if self.state is State.ASKING or (self.state is State.RESTING and self.registered):
            self.state = State.REMOVING
            self._challenged = 0
            self._ask(0)
        elif self.state is not State.REMOVING:
            self.give_up()
        self.registered_until = None

    def give_up(self) -> None:
        """Ask for nothing more, and leave the binding as it is."""
        self._forget_request()
        self._deadline = self.registered_until = None
        self.state = State.REMOVED

    def receive(self, event: Event) -> None:
        """What came of the last request."""
        match event:
            case ResponseReceived(_, response, _) if response.status < 200:
                return
            case ResponseReceived(_, response, _):
                self._answered(response)
            case TimedOut():
                self._failed(REQUEST_TIMEOUT)
            case TransportFailed():
                self._failed(UNREACHABLE)

    # -- requests

    def _ask(self, expires_s: int) -> None:
        flow = flow_to(self.trunk.target, self._context.listeners)
        if flow is None:  # no listener of its kind: nothing that waiting would change
            self._failures = max(self._failures, 16)
            return self._failed(UNREACHABLE)
        self._number += 1
        return self._send(self._account.foresee(self._request(expires_s, flow)), flow)

    def _send(self, request: Request, flow: Flow) -> None:
        context = self._context
        self._forget_request()
        transaction = context.layer.send_request(request, flow, now_ns=context.now_ns)
        self._transactions[transaction] = self
        self._sent = transaction, request, flow

    def _forget_request(self) -> None:
        if self._sent is not None:
            self._transactions.pop(self._sent[0], None)
            self._sent = None

    def _request(self, expires_s: int, flow: Flow) -> Request:
        register, endpoint = self._register, self.trunk.target.endpoint
        host, port = (register.domain, None) if register.domain else endpoint
        ours = NameAddr(Uri("sip", register.user, host, port))
        params = () if flow.transport == "udp" else (("transport", flow.transport),)
        contact = NameAddr(Uri("sip", register.user, *flow.local, params=params))
        headers = Headers.of(
            ("Max-Forwards", MAX_FORWARDS),
            ("From", ours.with_tag(new_tag(self._context.random))),
            ("To", ours),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._number} REGISTER"),
            ("Contact", contact),
            ("Expires", expires_s),
        )
        return Request("REGISTER", str(Uri("sip", None, host, port)), headers)

    # -- answers

    def _answered(self, response: Response) -> None:
        if 200 <= response.status < 300:
            self._account.hear(response)
            self._agreed(response)
        elif not self._asked_again(response):
            self._failed(response.status, _retry_after(response))

    def _asked_again(self, response: Response) -> bool:
        if response.status in (401, 407):
            return self._prove(response)
        return response.status == 423 and self._ask_for_longer(response)

    def _agreed(self, response: Response) -> None:
        assert self._sent is not None  # an answer comes to a request
        _, _, flow = self._sent
        self._forget_request()
        if self.state is State.REMOVING:
            self.state = State.REMOVED
            return self._tell(response.status)
        granted_s = _granted_s(response, self._register.user, flow, self._expires_s)
        if granted_s <= 0:
            return self._failed(response.status)
        now = self._context.now
        self.state = State.RESTING
        self._failures = 0
        self.registered_until = now + granted_s
        self._deadline = now + max(MIN_REFRESH_S, granted_s / 2, granted_s - EARLY_S)
        return self._tell(response.status)

    def _prove(self, response: Response) -> bool:
        """Whether the challenge was answered. Credentials that failed once are only good with a new nonce."""
        assert self._sent is not None  # an answer comes to a request
        _, request, flow = self._sent
        proof = self._account.prove(request, response, flow)
        tried = self._challenged > 0
        if proof is None or self._challenged >= MAX_CHALLENGES or (tried and not proof.stale):
            return False
        self._challenged += 1
        self._number += 1
        self._send(proven(request, self._number, proof), flow)
        return True

    def _ask_for_longer(self, response: Response) -> bool:
        """423 (10.2.8): the registrar says what it takes."""
        least_s = _seconds(response.headers.first("min-expires"))
        if self._brief or self.state is not State.ASKING or least_s is None:
            return False
        if not self._expires_s < least_s <= MAX_EXPIRES_S:
            return False
        self._brief += 1
        self._expires_s = least_s
        self._challenged = 0
        self._ask(least_s)
        return True

    def _failed(self, status: int, retry_after_s: float = 0.0) -> None:
        """Again after a while that doubles, with a tenth of chance, so that not all come at once."""
        self._forget_request()
        if self.state is State.REMOVING:
            self.state = State.REMOVED
            return self._tell(status)
        wait_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._failures, 16))
        if status in _HOPELESS:
            wait_s = LAST_RETRY_S
            self._account.forget()
        wait_s = max(wait_s, retry_after_s)
        self._failures += 1
        self._deadline = self._context.now + wait_s * (1 + self._context.random(1)[0] / 2_560)
        self.state = State.RESTING
        self._context.counters.trunk_registrations_failed += 1
        return self._tell(status)

    def _tell(self, status: int) -> None:
        """Refreshes are no news, nor is a second failure."""
        if self.told != self.registered:
            self.told = self.registered
            self._context.emit(TrunkRegistered(self.trunk.name, self.registered, status))


class TrunkRegistrations:
    """All of one proxy. Accounts are in `context.trunk_accounts`, where calls find them by trunk."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self._context = context
        self._ours: dict[str, TrunkRegistration] = {}
        self._transactions: dict[TransactionId, TrunkRegistration] = {}
        self.replace_plan(plan)

    @property
    def registered(self) -> dict[str, bool]:
        """By the names of those trunks that we register with."""
        return {name: one.registered for name, one in self._ours.items()}

    @property
    def leaving(self) -> bool:
        """Whether a carrier has not yet answered to `remove_all`, or to anything else."""
        return bool(self._transactions)

    def replace_plan(self, plan: Plan) -> None:
        """What is no longer asked for, or in another way, is removed; what stays is left alone."""
        wanted = {trunk.name: trunk for trunk in plan.trunks if trunk.register is not None}
        for name in [name for name, one in self._ours.items() if wanted.get(name) != one.trunk]:
            self._remove(name, wanted.get(name))
        for name, trunk in wanted.items():
            if name not in self._ours and trunk.register is not None:
                account = TrunkAccount(trunk, trunk.register, self._context.random)
                self._context.trunk_accounts[name] = account
                self._ours[name] = TrunkRegistration(
                    self._context, trunk, trunk.register, account, self._transactions
                )

    def remove_all(self) -> None:
        """At the end: carriers are to send their calls elsewhere. Live calls keep their credentials."""
        for one in self._ours.values():
            one.remove()

    def receive(self, event: Event, transaction: TransactionId) -> bool:
        """Whether it was the answer to a request of ours."""
        owner = self._transactions.get(transaction)
        if owner is None:
            return False
        owner.receive(event)
        return True

    def next_deadline(self) -> float | None:
        deadlines = (one.next_deadline() for one in self._ours.values())
        return min((at for at in deadlines if at is not None), default=None)

    def handle_timer(self, *, now: float) -> None:
        for one in self._ours.values():
            one.handle_timer(now=now)

    def _remove(self, name: str, successor: Trunk | None) -> None:
        """What its successor binds anew must not be removed by a request that comes late."""
        one = self._ours.pop(name)
        self._context.trunk_accounts.pop(name, None)
        if successor is None or _binding(successor) != _binding(one.trunk):
            one.remove()
        else:
            one.give_up()


def _binding(trunk: Trunk) -> tuple[Target, str, str]:
    assert trunk.register is not None  # asked of those alone that have one
    return trunk.target, trunk.register.user, trunk.register.domain


def _granted_s(response: Response, user: str, flow: Flow, asked_s: int) -> int:
    """For how long (10.2.4): by our Contact, else by Expires, else as asked for.

    A registrar may list other devices' contacts, and write ours as it saw it from outside a NAT.
    """
    contacts = [found for text in response.headers.elements("contact") if (found := _contact(text))]
    ours = [one for one in contacts if (one.uri.host, one.uri.port) == tuple(flow.local)]
    same = ours or [one for one in contacts if one.uri.user == user]
    granted_s = _seconds(same[0].param("expires")) if same else None
    if granted_s is None:
        granted_s = _seconds(response.headers.first("expires"))
    return asked_s if granted_s is None else min(granted_s, asked_s)


def _contact(text: str) -> NameAddr | None:
    try:
        return parse_name_addr(text)
    except Malformed:
        return None


def _retry_after(response: Response) -> float:
    text = response.headers.first("retry-after")
    seconds = None if text is None else _seconds(text.partition(";")[0].partition("(")[0].strip())
    return 0.0 if seconds is None else min(seconds, MAX_RETRY_AFTER_S)


def _seconds(text: str | None) -> int | None:
    try:
        return None if text is None else parse_number(text, most=2**32 - 1)
    except Malformed:
        return None
