"""The branches of a call: an INVITE to each place where the callee may be (RFC 3261 16.6, 16.7).

All share Call-ID, From tag and CSeq, as behind a proxy that forks: a telephone that two of them reach
rings once (8.2.2.2).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from mediaproxy.calls.context import Context
from mediaproxy.calls.failover import FAILS_OVER, in_order
from mediaproxy.calls.forks import Sent
from mediaproxy.calls.leg import flow_to
from mediaproxy.calls.model import Agent, Trunk
from mediaproxy.calls.signalling import Reply
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.location import MAX_Q, Binding
from mediaproxy.sip.messages import Request
from mediaproxy.sip.outputs import TransactionId

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'  # RFC 3326 2

_INSTRUCTIVE = frozenset({401, 407, 415, 420, 484})  # 16.7 point 6: these say how to ask better
_MEANINGLESS = frozenset({408, 482, 487, 503})  # silence, rung by another branch, cancelled, not there


@dataclass(frozen=True, slots=True)
class Way:
    """How the callee is reached at one place. `path`: proxies before it (RFC 3327).

    `q` in thousandths, or less than 0 for the rank of a trunk's target.
    """

    peer: Agent | Trunk
    flow: Flow
    path: tuple[str, ...] = ()
    q: int = MAX_Q


@dataclass(slots=True)
class Branch:
    """`early`: the tag and the SDP of the answer that it gave last in a 1xx."""

    way: Way
    request: Request
    early: tuple[str | None, bytes] = (None, b"")

    @property
    def sent(self) -> Sent:
        peer = self.way.peer
        return Sent(self.request, self.way.flow, isinstance(peer, Agent) and peer.registers)


@dataclass(slots=True)
class Branches:
    """`waiting` are the ways not yet tried, by falling q; `live` awaits final responses.

    `serial`: a trunk's targets, which are all the carrier: what one says of the callee holds for all, and
    whom the caller hears already is not changed for another one.
    """

    waiting: tuple[Way, ...]
    serial: bool = False
    live: dict[TransactionId, Branch] = field(default_factory=dict)
    _failed: list[Reply] = field(default_factory=list)

    def next_group(self) -> tuple[Way, ...]:
        """All of the highest q that is left (16.6)."""
        group = tuple(way for way in self.waiting if way.q == self.waiting[0].q)
        self.waiting = self.waiting[len(group) :]
        return group

    def fail(self, reply: Reply) -> None:
        branch = self.live.pop(reply.transaction)
        self._failed.append(reply)
        if reply.status >= 600 or (self.serial and (reply.status not in FAILS_OVER or branch.early[1])):
            self.try_no_more()

    def best(self) -> Reply:
        """Of the failures the one to pass: 6xx, else of the lowest class (16.7 point 6), else the first."""
        return self._failed[-1] if self.serial else min(self._failed, key=_rank)

    def try_no_more(self) -> None:
        self.waiting = ()


def _rank(reply: Reply) -> tuple[int, int]:
    kind = 0 if reply.status >= 600 else reply.status // 100
    return kind, 0 if reply.status in _INSTRUCTIVE else 2 if reply.status in _MEANINGLESS else 1


def ringing(bindings: Iterable[Binding]) -> Iterator[Binding]:
    """Of an agent's bindings, preferred ones first, those that ring.

    A device rings over one of its flows (RFC 5626 7). The ports for its media are of one family: the
    preferred binding's.
    """
    devices: set[str] = set()
    family = None
    for binding in bindings:
        family = family or binding.flow.remote.family
        device = None if binding.device is None else binding.device[0]
        if binding.flow.remote.family is family and device not in devices:
            yield binding
        if device is not None:
            devices.add(device)


def reachable(trunk: Trunk, context: Context) -> Iterator[Way]:
    """A way to each of its targets that an address of ours reaches, each to be tried after the one before.

    They are of the first one's family, for so are the ports for its media.
    """
    family = None
    for number, target in enumerate(in_order(trunk, context.random)):
        flow = flow_to(target, context.listeners)
        if flow is not None and flow.remote.family is (family or flow.remote.family):
            family = flow.remote.family
            yield Way(replace(trunk, target=target), flow, q=-number)
