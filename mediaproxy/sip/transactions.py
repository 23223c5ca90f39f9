"""Messages to transactions and back (RFC 3261 17, matching by 17.1.3 and 17.2.3).

Beyond the four machines the layer does what every transaction user would have to repeat: it answers
CANCEL (9.2) and merged requests (8.2.2.2), repeats a 2xx until its ACK (13.3.1.4), and repeats that
ACK for each repeated 2xx (13.2.2.4).
"""

from collections.abc import Callable

from mediaproxy.clock import NS_PER_S
from mediaproxy.errors import Misuse
from mediaproxy.limits import MAX_SIP_TRANSACTIONS
from mediaproxy.sip.client_transaction import ClientTransaction
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.machines import Input, State
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import Cancelled, Output, TransactionId, Transmit
from mediaproxy.sip.responses import respond, stamp
from mediaproxy.sip.server_transaction import ServerTransaction
from mediaproxy.sip.transaction import Counters, Key, Shared
from mediaproxy.sip.via import MAGIC_COOKIE, Via

BRANCH_BYTES = 12
TAG_BYTES = 8
RETRY_AFTER_S = 5


class TransactionLayer:
    """Sans-IO. `random_bytes` makes branches and the tags of what the layer itself answers.

    `now_ns` is monotonic ns, `now` and deadlines the same clock in seconds.
    """

    def __init__(self, *, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._shared = Shared()
        self._last_id = 0
        self._by_id: dict[TransactionId, ClientTransaction | ServerTransaction] = {}
        self._clients: dict[Key, ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._merges: dict[Key, ServerTransaction] = {}
        self._accepted: dict[Key, ServerTransaction] = {}

    @property
    def counters(self) -> Counters:
        return self._shared.counters

    def __len__(self) -> int:
        return len(self._by_id)

    # -- the four verbs

    def receive_message(self, message: Request | Response, flow: Flow, *, now_ns: int) -> None:
        if isinstance(message, Response):
            self._receive_response(message, now_ns)
        else:
            self._receive_request(message, flow, now_ns)

    def handle_timer(self, *, now: float) -> None:
        now_ns = round(now * NS_PER_S)
        while due := self._shared.agenda.pop_due(now):
            transaction, timer = due
            assert isinstance(transaction, ClientTransaction | ServerTransaction)
            transaction.step(timer, now_ns)
            self._settle(transaction)

    def next_deadline(self) -> float | None:
        return self._shared.agenda.next_deadline()

    def drain(self) -> list[Output]:
        outputs = self._shared.outputs
        self._shared.outputs = []
        return outputs

    # -- what the transaction user asks for

    def send_request(self, request: Request, flow: Flow, *, now_ns: int) -> TransactionId:
        """Open a client transaction for anything but an ACK; a Via of ours goes on top."""
        if request.method == "ACK":
            raise Misuse("an ACK opens no transaction")
        return self._open_client(self._with_via(request, flow), flow, now_ns).id

    def send_ack(self, transaction: TransactionId, ack: Request, flow: Flow, *, now_ns: int) -> None:
        """Acknowledge a 2xx; the layer repeats the ACK as often as that 2xx comes again."""
        ack = self._with_via(ack, flow)
        client = self._by_id.get(transaction)
        if isinstance(client, ClientTransaction):
            client.acknowledge(ack, flow)
        else:  # 64*T1 after the 2xx: once is all that can be done
            self._shared.outputs.append(Transmit(flow, ack.encode()))

    def cancel(self, transaction: TransactionId, *, now_ns: int, headers: Headers | None = None) -> None:
        """Cancel an INVITE of ours: now, or as soon as a provisional response allows it (9.1).

        `headers` come last, say a Reason (RFC 3326).
        """
        client = self._by_id.get(transaction)
        if isinstance(client, ClientTransaction):
            client.cancel(now_ns, headers)

    def send_response(self, transaction: TransactionId, response: Response, *, now_ns: int) -> None:
        """Answer a request; a late answer, after the transaction's end, is counted and dropped."""
        server = self._by_id.get(transaction)
        if not isinstance(server, ServerTransaction):
            self.counters.strays += 1
            return
        server.send(response, now_ns)
        self._settle(server)

    def transport_failed(self, transaction: TransactionId, *, now_ns: int) -> None:
        """What `Transmit.transaction` names could not be sent."""
        failed = self._by_id.get(transaction)
        if failed is not None:
            self.counters.transport_errors += 1
            failed.step(Input.TRANSPORT_ERROR, now_ns)
            self._settle(failed)

    # -- client transactions

    def _with_via(self, request: Request, flow: Flow) -> Request:
        branch = MAGIC_COOKIE + self._random_bytes(BRANCH_BYTES).hex()
        host, port = flow.local
        via = Via(flow.transport.upper(), host, port, (("rport", None), ("branch", branch)))
        return request.with_new_via(via)

    def _open_client(
        self, request: Request, flow: Flow, now_ns: int, *, silent: bool = False
    ) -> ClientTransaction:
        key = _client_key(request)
        client = ClientTransaction(
            self._next_id(), key, request, flow, self._shared, self._send_cancel, silent=silent
        )
        self._clients[key] = client
        self._by_id[client.id] = client
        client.step(Input.START, now_ns)
        return client

    def _send_cancel(self, client: ClientTransaction, now_ns: int) -> None:
        cancel = _cancel_of(client.request, client.cancel_headers)
        self._open_client(cancel, client.flow, now_ns, silent=True)

    def _receive_response(self, response: Response, now_ns: int) -> None:
        # Branch, method and our own sent-by (17.1.3, 18.1.2): whatever else it is, it is not ours.
        client = self._clients.get(_client_key(response))
        if client is None:
            self.counters.strays += 1
            return
        self.counters.responses += 1
        client.receive(response, now_ns)
        self._settle(client)

    # -- server transactions

    def _receive_request(self, request: Request, flow: Flow, now_ns: int) -> None:
        key = _server_key(request, request.method)
        server = self._servers.get(key)
        if request.method == "ACK":
            self._receive_ack(request, server, now_ns)
        elif server is not None:
            self.counters.repeated_requests += 1
            server.step(Input.REQUEST, now_ns)
        elif len(self._by_id) >= MAX_SIP_TRANSACTIONS:
            self._refuse(stamp(request, flow.remote), flow)
        else:
            self._open_server(key, stamp(request, flow.remote), flow, now_ns)

    def _open_server(self, key: Key, request: Request, flow: Flow, now_ns: int) -> None:
        server = ServerTransaction(self._next_id(), key, request, flow, self._shared)
        self._servers[key] = server
        self._by_id[server.id] = server
        self.counters.requests += 1
        if request.method == "CANCEL":
            self._answer_cancel(server, now_ns)
        elif self._is_merged(server):
            self.counters.merged += 1
            self._answer(server, 482, now_ns)
        else:
            server.step(Input.START, now_ns)

    def _answer(self, server: ServerTransaction, status: int, now_ns: int, tag: str | None = None) -> None:
        """Answer by ourselves: the transaction user never hears of this request."""
        server.state = State.PROCEEDING
        tag = tag or self._random_bytes(TAG_BYTES).hex()
        self.send_response(server.id, respond(server.request, status, tag=tag), now_ns=now_ns)

    def _answer_cancel(self, server: ServerTransaction, now_ns: int) -> None:
        invite = self._servers.get(_server_key(server.request, "INVITE"))
        if invite is None:
            return self._answer(server, 481, now_ns)
        self._answer(server, 200, now_ns, invite.to_tag)
        if invite.state is State.PROCEEDING and not invite.cancelled:
            invite.cancelled = True
            self._shared.outputs.append(Cancelled(invite.id, server.request, now_ns))
        return None

    def _is_merged(self, server: ServerTransaction) -> bool:
        """The same request on two ways: the second one is refused (8.2.2.2)."""
        request = server.request
        tag = request.from_.tag
        if tag is None or request.to.tag is not None:
            return False
        key = (request.call_id, tag, request.cseq)
        if key in self._merges:
            return True
        server.merge_key = key
        self._merges[key] = server
        return False

    def _receive_ack(self, ack: Request, server: ServerTransaction | None, now_ns: int) -> None:
        if server is None:
            server = self._accepted.get((ack.call_id, ack.from_.tag, ack.to.tag, ack.cseq.number))
        if server is None:
            self.counters.strays += 1
            return
        server.receive_ack(ack, now_ns)
        self._settle(server)

    def _refuse(self, request: Request, flow: Flow) -> None:
        """Statelessly: there is no room for one more transaction."""
        self.counters.refused += 1
        tag = self._random_bytes(TAG_BYTES).hex()
        headers = Headers.of(("Retry-After", RETRY_AFTER_S))
        response = respond(request, 503, tag=tag, headers=headers)
        if not flow.reliable:
            flow = flow._replace(remote=request.via.reply_to)
        self._shared.outputs.append(Transmit(flow, response.encode()))

    # -- both

    def _next_id(self) -> TransactionId:
        self._last_id += 1
        return TransactionId(self._last_id)

    def _settle(self, transaction: ClientTransaction | ServerTransaction) -> None:
        """Bring the indices up to the state that a step left behind."""
        state = transaction.state
        if state is State.TERMINATED:
            self._forget(transaction)
        elif (
            state is State.ACCEPTED
            and isinstance(transaction, ServerTransaction)
            and transaction.dialog_key is None
        ):
            request = transaction.request
            transaction.dialog_key = (
                request.call_id,
                request.from_.tag,
                transaction.to_tag,
                request.cseq.number,
            )
            self._accepted[transaction.dialog_key] = transaction

    def _forget(self, transaction: ClientTransaction | ServerTransaction) -> None:
        transaction.deadlines.clear()
        self._by_id.pop(transaction.id, None)
        if isinstance(transaction, ClientTransaction):
            self._clients.pop(transaction.key, None)
            return
        self._servers.pop(transaction.key, None)
        if transaction.merge_key is not None:
            self._merges.pop(transaction.merge_key, None)
        if transaction.dialog_key is not None and self._accepted.get(transaction.dialog_key) is transaction:
            del self._accepted[transaction.dialog_key]


def _client_key(message: Request | Response) -> Key:
    via = message.via
    return via.branch, via.sent_by, message.cseq.method


def _server_key(request: Request, method: str) -> Key:
    """17.2.3. Without a unique branch it falls back to what RFC 2543 compares."""
    via = request.via
    branch = via.branch
    method = "INVITE" if method == "ACK" else method
    if branch.startswith(MAGIC_COOKIE) and branch != MAGIC_COOKIE:
        return branch, via.sent_by, method
    source = (via.transport, via.sent_by, branch)
    return request.uri, request.call_id, request.from_.tag, request.cseq.number, source, method


def _cancel_of(invite: Request, more: Headers | None) -> Request:
    """9.1: the same but for the method, with the INVITE's topmost Via alone."""
    headers = Headers.of(("Via", invite.via), ("Max-Forwards", 70))
    headers += invite.headers.only("route", "from", "to", "call-id")
    headers += Headers.of(("CSeq", f"{invite.cseq.number} CANCEL"))
    return Request("CANCEL", invite.uri, headers if more is None else headers + more)
