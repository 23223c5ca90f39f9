"""Which requests are let in at all, judged before anything is remembered of them.

Whoever is in a call can always end it: ACK, repetitions and what belongs to a dialog of ours pass, and so
does a call for help. All else can be too much: for its source, or for us.
"""

from mediaproxy.calls.admission import Refusal, busy
from mediaproxy.calls.context import Context
from mediaproxy.calls.emergency import Emergencies
from mediaproxy.calls.events import SourceRefused
from mediaproxy.calls.model import Guard, Plan, Trunk
from mediaproxy.calls.rates import Buckets
from mediaproxy.calls.registrar import Registrar
from mediaproxy.calls.routing import Peer, Routing
from mediaproxy.limits import MAX_SUSPECTS
from mediaproxy.net import place_of
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.messages import Request

TOLD_EVERY_S = 60.0  # of one source
MOST_TOLD = 20.0  # a second, of all sources: a forged one each costs nobody anything
SHARE = 0.75  # of the transactions is for everybody; the rest for trunks
SCANNER, UNKNOWN = "scanner", "unknown"
_ANYWHERE = frozenset({"REGISTER", "INVITE"})  # what an agent with a password sends from where it is
_SCANNERS = (
    *("friendly-scanner", "friendly-request", "sipvicious", "sundayddr", "sip-scan", "sipscan"),
    *("sipsak", "sipcli", "pplsip", "iwar", "smap", "siparmyknife"),
)


class Gate:
    """What it counts outlives a change of plan, but for the rates themselves."""

    def __init__(
        self, context: Context, registrar: Registrar, plan: Plan, routing: Routing, emergencies: Emergencies
    ) -> None:
        self._context = context
        self._registrar = registrar
        self._told = Buckets(1 / TOLD_EVERY_S, 1.0, MAX_SUSPECTS)
        self._told_at_all = Buckets(MOST_TOLD, MOST_TOLD, 1)
        self._untold: dict[str, int] = {}
        self._buckets = Buckets(0.0, 1.0, MAX_SUSPECTS)
        self.replace_plan(plan, routing, emergencies)

    def replace_plan(self, plan: Plan, routing: Routing, emergencies: Emergencies) -> None:
        self._guard: Guard = plan.guard
        self._routing = routing
        self._emergencies = emergencies
        rate = plan.guard.max_requests_per_second
        if rate != self._buckets.rate:
            self._buckets = Buckets(rate, max(rate, 1.0), MAX_SUSPECTS)

    def admits(self, request: Request, flow: Flow) -> bool:
        """False: it was answered here, or dropped, and leaves nothing behind."""
        context = self._context
        if request.method == "ACK" or self._is_within(request) or context.layer.knows(request):
            return True
        sender = self._routing.sender(flow, from_user=request.from_.uri.user or "")
        known = sender is not None or self._registrar.knows(flow)
        if _is_scanner(request):
            context.counters.scanners += 1
            return self._drop(flow, "" if known else SCANNER)
        if not known and self._turns_away(request, flow):
            return False
        # A stranger who only says that it needs help could fill us up with nothing else.
        return (known and self._emergencies.is_dialled(request)) or self._has_room(request, flow, sender)

    def _is_within(self, request: Request) -> bool:
        tag = request.to.tag
        return tag is not None and (request.call_id, tag) in self._context.dialogs

    def _turns_away(self, request: Request, flow: Flow) -> bool:
        """Whether a stranger's request goes no further."""
        counters = self._context.counters
        if self._registrar.serves and request.method in _ANYWHERE:  # it will have to prove who it is
            return False
        if self._guard.drops_unknown:
            counters.unknown_sources += 1
            self._drop(flow, UNKNOWN)
            return True
        if request.method != "INVITE" or request.to.tag is not None:
            return False
        counters.unknown_sources += 1
        self._tell(flow, UNKNOWN)
        self._refuse(request, flow, Refusal(403))
        return True

    def _has_room(self, request: Request, flow: Flow, sender: Peer | None) -> bool:
        counters, of_trunk = self._context.counters, isinstance(sender, Trunk)
        most = self._guard.max_transactions * (1.0 if of_trunk else SHARE)
        if len(self._context.layer) >= most:
            counters.no_room += 1
        elif not of_trunk and self._is_too_fast(flow):
            counters.too_many_requests += 1
        else:
            return True
        self._refuse(request, flow, busy())
        return False

    def _is_too_fast(self, flow: Flow) -> bool:
        limited = self._buckets.rate > 0
        return limited and not self._buckets.take(place_of(flow.remote.host), now=self._context.now)

    def _refuse(self, request: Request, flow: Flow, refusal: Refusal) -> None:
        self._context.layer.refuse(request, flow, refusal.status, refusal.headers)

    def _drop(self, flow: Flow, why: str) -> bool:
        if why:
            self._tell(flow, why)
        return False

    def _tell(self, flow: Flow, why: str) -> None:
        """Now and then for each source, with how many requests there were meanwhile."""
        host, now = flow.remote.host, self._context.now
        count = self._untold.pop(host, 0) + 1
        if self._told.take(host, now=now) and self._told_at_all.take("", now=now):
            self._context.emit(SourceRefused(host, why, count))
        else:
            self._untold[host] = count
            if len(self._untold) > MAX_SUSPECTS:
                del self._untold[next(iter(self._untold))]


def _is_scanner(request: Request) -> bool:
    name = (request.headers.first("user-agent") or "").lower()
    return bool(name) and any(scanner in name for scanner in _SCANNERS)
