"""Whether a request comes from the agent that it says (RFC 3261 22): no address is proof of that."""

from mediaproxy.calls.admission import Refusal
from mediaproxy.calls.context import Context
from mediaproxy.calls.events import PasswordRefused
from mediaproxy.calls.model import Agent, Plan
from mediaproxy.calls.suspects import Suspects
from mediaproxy.errors import Malformed
from mediaproxy.sip.digest import Algorithm, Credentials, Secret, challenges, parse_credentials
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request
from mediaproxy.sip.nonces import Judgement, Nonces
from mediaproxy.sip.outputs import RequestReceived

SUSPECT_RETRY_S = 60
MAX_CREDENTIALS = 8  # in one request: a chain of proxies may have some each

# (challenge's header, credentials' header), by the status that asks for them (22.2, 22.3)
_HEADERS = {401: ("WWW-Authenticate", "authorization"), 407: ("Proxy-Authenticate", "proxy-authorization")}
_NOBODY = Secret.of("", "", "")  # an agent that there is none of takes as long


class Authentication:
    """Challenges and judges by one plan at a time; nonces outlive a change of plan."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self._context = context
        self._nonces = Nonces(context.random)
        self._suspects = Suspects()
        self.replace_plan(plan)

    def replace_plan(self, plan: Plan) -> None:
        self._realm = plan.realm
        self._agents = {agent.name: agent for agent in plan.agents if agent.registers}

    @property
    def agents(self) -> dict[str, Agent]:
        """Those who register, by name."""
        return self._agents

    def judge(self, received: RequestReceived, status: int, *, trusted: bool) -> Agent | Refusal:
        """Who sent it, or what to answer: `status` (401, 407) with a challenge, 400, 403 or 503.

        `trusted`: it comes from where an agent is registered, so that others who guess passwords from
        behind the same NAT do not keep it out.
        """
        request, host = received.request, received.flow.remote.host
        try:
            credentials = self._credentials(request, _HEADERS[status][1])
        except Malformed as error:
            self._context.counters.malformed += 1
            return Refusal(error.status)
        if credentials is None:
            return self._challenge(request, host, status)
        if not trusted and self._suspects.is_limited(host, now=self._context.now):
            self._context.counters.suspects_refused += 1
            return Refusal(503, Headers.of(("Retry-After", SUSPECT_RETRY_S)))
        if not credentials.is_for(request.target):
            return Refusal(400)
        judgement = self._nonces.judge(
            credentials.nonce, credentials.count, self._realm, host, now_ns=self._context.now_ns
        )
        if judgement is not Judgement.FRESH:
            self._context.counters.replayed += judgement is Judgement.REPLAYED
            return self._challenge(request, host, status, stale=True)
        return self._prove(request, credentials, host)

    def _credentials(self, request: Request, name: str) -> Credentials | None:
        """The first that answer a challenge of ours; other realms' are for others."""
        for value in request.headers.all(name)[:MAX_CREDENTIALS]:
            credentials = parse_credentials(value)
            if credentials is not None and credentials.realm == self._realm:
                return credentials
        return None

    def _prove(self, request: Request, credentials: Credentials, host: str) -> Agent | Refusal:
        agent = self._agents.get(credentials.user)
        secret = _NOBODY if agent is None or agent.secret is None else agent.secret
        if not credentials.fits(request.method, secret) or agent is None:
            return self._refuse(agent, host)
        self._nonces.use(credentials.nonce, credentials.count)
        return agent

    def _refuse(self, agent: Agent | None, host: str) -> Refusal:
        now = self._context.now
        self._context.counters.wrong_passwords += 1
        self._suspects.fail(host, now=now)
        limited = self._suspects.is_limited(host, now=now)
        self._context.emit(PasswordRefused(host, None if agent is None else agent.name, limited))
        return Refusal(403)

    def _challenge(self, request: Request, host: str, status: int, *, stale: bool = False) -> Refusal:
        """An agent of whom we have one kind of hash is offered that one alone: it could use no other."""
        self._context.counters.challenged += 1
        agent = self._agents.get(request.from_.uri.user or "")
        offered = tuple(Algorithm) if agent is None or agent.secret is None else agent.secret.algorithms
        nonce = self._nonces.new(self._realm, host, now_ns=self._context.now_ns)
        name = _HEADERS[status][0]
        return Refusal(
            status,
            Headers.of(
                *[(name, value) for value in challenges(self._realm, nonce, offered, stale=stale)],
            ),
        )
