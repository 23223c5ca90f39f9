"""Answers beyond the first: an INVITE that forked may be accepted by several (RFC 3261 13.2.2.4)."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from mediaproxy.calls.leg import within
from mediaproxy.calls.trunk_account import proofs
from mediaproxy.sip.dialog import Dialog
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import TransactionId
from mediaproxy.sip.transactions import TransactionLayer

WATCHED_S = 32.0  # 64*T1: as long as the transaction may bring another one (RFC 6026 7.2)


class Sent(NamedTuple):
    request: Request
    flow: Flow
    pinned: bool  # to the flow, whatever the answer's Contact says


@dataclass(slots=True)
class Forks:
    """Outlives the calls: a second answer may come when the first one has hung up already."""

    _sent: dict[TransactionId, Sent] = field(default_factory=dict)
    _until: deque[tuple[float, TransactionId]] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._sent)

    def watch(self, transaction: TransactionId, sent: Sent, *, now: float) -> None:
        self._sent[transaction] = sent
        self._until.append((now + WATCHED_S, transaction))

    def reap(
        self, layer: TransactionLayer, transaction: TransactionId, answer: Response, now_ns: int
    ) -> None:
        """End a dialog that nobody waits for; what was never watched is no answer to an INVITE."""
        sent = self._sent.get(transaction)
        if sent is None or not 200 <= answer.status < 300:
            return
        dialog = Dialog.uac(sent.request, answer)
        flow = sent.flow if sent.pinned else within(dialog, sent.flow)
        headers = proofs(sent.request) if flow.remote == sent.flow.remote else None
        ack = dialog.ack(sent.request.cseq.number, headers=headers)
        layer.send_ack(transaction, ack, flow, now_ns=now_ns)
        layer.send_request(dialog.request("BYE"), flow, now_ns=now_ns)

    def next_deadline(self) -> float | None:
        return self._until[0][0] if self._until else None

    def handle_timer(self, *, now: float) -> None:
        while self._until and self._until[0][0] <= now:
            del self._sent[self._until.popleft()[1]]
