"""What the transaction layer says: bytes for the wire, and events for the transaction user."""

from dataclasses import dataclass
from typing import NewType

from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.messages import Request, Response

TransactionId = NewType("TransactionId", int)
NO_TRANSACTION = TransactionId(0)


@dataclass(frozen=True, slots=True)
class Transmit:
    """`fallback`: where to connect if the flow's connection is gone (18.2.2).

    A failure is reported by `transaction`, unless that is `NO_TRANSACTION`.
    """

    flow: Flow
    data: bytes
    transaction: TransactionId = NO_TRANSACTION
    fallback: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A new request, neither ACK nor CANCEL, to be answered by `send_response`."""

    transaction: TransactionId
    request: Request
    flow: Flow
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The client cancelled its INVITE, which has no final response yet; the CANCEL is answered.

    The INVITE wants a 487 (9.2).
    """

    transaction: TransactionId
    request: Request
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class AckReceived:
    """The first ACK of our 2xx. `transaction` is the INVITE's."""

    transaction: TransactionId
    request: Request
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class AckMissing:
    """Our 2xx was repeated for 64*T1 and never acknowledged: the dialog wants a BYE (13.3.1.4)."""

    transaction: TransactionId


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """A response to a request of ours. A 2xx to an INVITE comes once for each To tag (13.2.2.4)."""

    transaction: TransactionId
    response: Response
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No final response to a request of ours: treat it as a 408 (8.1.3.1)."""

    transaction: TransactionId


@dataclass(frozen=True, slots=True)
class TransportFailed:
    """A request of ours could not be sent (treat it as a 503, 8.1.3.1), or a response of ours."""

    transaction: TransactionId


Event = RequestReceived | Cancelled | AckReceived | AckMissing | ResponseReceived | TimedOut | TransportFailed
Output = Transmit | Event
