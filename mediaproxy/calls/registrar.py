"""The registrar (RFC 3261 10.3): agents who prove who they are say where they can be reached."""

from mediaproxy.calls.admission import Refusal, check_extensions
from mediaproxy.calls.authentication import Authentication
from mediaproxy.calls.context import Context
from mediaproxy.calls.events import ContactsChanged
from mediaproxy.calls.model import Agent, Plan
from mediaproxy.errors import Malformed
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.location import MIN_EXPIRES_S, Binding, Location, Refused, read_registration
from mediaproxy.sip.outputs import RequestReceived

RETRY_AFTER_S = 60
_TAKEN = frozenset({"path"})


class Registrar:
    """Who is where. Bindings live in memory: after a restart agents register anew."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self._context = context
        self._authentication = Authentication(context, plan)
        self._location = Location()
        self._told: dict[str, int] = {}  # how many contacts each agent had when it was told last

    def __len__(self) -> int:
        """Contacts of all agents."""
        return len(self._location)

    @property
    def serves(self) -> bool:
        """Whether any agent registers at all."""
        return bool(self._authentication.agents)

    def replace_plan(self, plan: Plan) -> None:
        """Who is no longer in the plan, or has another password, is no longer reachable."""
        before = self._authentication.agents
        self._authentication.replace_plan(plan)
        after = self._authentication.agents
        for name in self._location.aors:
            if name not in after or after[name].secret != before[name].secret:
                self._location.remove(name)
                self._tell(name)

    def reach(self, agent: Agent) -> list[Binding]:
        """Where it is to be tried, in this order: by q, then the latest first."""
        return self._location.find(agent.name, now=self._context.now)

    def knows(self, flow: Flow) -> bool:
        """Whether an agent is registered from where this comes."""
        return self._location.knows(flow)

    def caller(self, received: RequestReceived) -> Agent | Refusal:
        """The agent who sent an INVITE, or what to answer."""
        return self._authentication.judge(received, 407, trusted=self.knows(received.flow))

    def receive(self, received: RequestReceived) -> Refusal:
        """What to answer to a REGISTER."""
        request = received.request
        refusal = check_extensions(request, also=_TAKEN)
        if refusal is not None:
            return refusal
        agent = self._authentication.judge(received, 401, trusted=self.knows(received.flow))
        if isinstance(agent, Refusal):
            return agent
        if not agent.name == request.to.uri.user == request.from_.uri.user:
            return Refusal(403)
        return self._register(agent, received)

    def _register(self, agent: Agent, received: RequestReceived) -> Refusal:
        context = self._context
        try:
            wanted = read_registration(received.request, received.flow)
            bindings = self._location.register(agent.name, wanted, now=context.now)
        except Malformed as error:
            context.counters.malformed += 1
            return Refusal(error.status)
        except Refused as refused:
            return _refusal(refused.status)
        self._tell(agent.name)
        told = [("Contact", binding.header(context.now)) for binding in bindings]
        return Refusal(200, Headers.of(*told, *[("Path", hop) for hop in wanted.path]))

    def next_deadline(self) -> float | None:
        return self._location.next_deadline()

    def handle_timer(self, *, now: float) -> None:
        for name in self._location.handle_timer(now=now):
            self._tell(name)

    def _tell(self, name: str) -> None:
        """Refreshes are no news."""
        contacts = len(self._location.find(name, now=self._context.now))
        if contacts != self._told.get(name, 0):
            self._context.emit(ContactsChanged(name, contacts))
        self._told[name] = contacts
        if not contacts:
            del self._told[name]


def _refusal(status: int) -> Refusal:
    if status == 423:
        return Refusal(status, Headers.of(("Min-Expires", MIN_EXPIRES_S)))
    return Refusal(status, Headers.of(("Retry-After", RETRY_AFTER_S)) if status == 503 else Headers())
