"""What was said of late on the wire: kept for whoever asks after a call, and copied to a capture server."""

import os
from collections.abc import Callable

from mediaproxy.api.backend import Traced
from mediaproxy.calls.events import CallRecord
from mediaproxy.calls.plane import LegId
from mediaproxy.clock import NS_PER_MS
from mediaproxy.service.wiring import wall_offset_ns
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.trace import Said, Trace
from mediaproxy.transport.hep import CaptureServer

NS_PER_US = 1_000


class Tracing:
    """Gets every message of the transport; the memory that it takes is bounded."""

    def __init__(self, *, wall_offset_ns: Callable[[], int] = wall_offset_ns) -> None:
        self._trace = Trace(os.urandom)
        self._wall_offset_ns = wall_offset_ns
        self._server: CaptureServer | None = None

    def copy_to(self, server: CaptureServer) -> None:
        self._server = server

    def note(self, data: bytes, flow: Flow, sent: bool, at_ns: int) -> None:
        said = self._trace.note(data, flow, sent=sent, at_ns=at_ns)
        if said is not None and self._server is not None:
            self._server.send(said, wall_ns=at_ns + self._wall_offset_ns())

    def of(self, call: CallRecord) -> list[Traced]:
        """Both legs' messages, oldest first, as far as they are still there."""
        said = [(one, LegId.A) for one in self._trace.of(call.sip_call_id)]
        said += [(one, LegId.B) for one in self._trace.of(call.id)]
        said.sort(key=lambda each: each[0].at_ns)
        offset_ns = self._wall_offset_ns()
        return [_traced(one, leg, said[0][0].at_ns, offset_ns) for one, leg in said]


def _traced(said: Said, leg: LegId, first_ns: int, offset_ns: int) -> Traced:
    return Traced(
        leg=leg,
        at_ms=(said.at_ns + offset_ns) // NS_PER_MS,
        elapsed_us=(said.at_ns - first_ns) // NS_PER_US,
        sent=said.sent,
        transport=said.flow.transport,
        local=str(said.flow.local),
        remote=str(said.flow.remote),
        text=said.text.decode("utf-8", "replace"),
    )
