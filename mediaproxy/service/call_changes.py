"""What the API changes of a call besides its recording: who is on it, and what it is about."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from mediaproxy.api.backend import TOO_MANY_KEYS, Unfit
from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.rows import LoggedCall
from mediaproxy.calls.behind import Naming
from mediaproxy.calls.events import CallRecord
from mediaproxy.calls.metadata import merged
from mediaproxy.calls.proxy import Proxy
from mediaproxy.ids import CallId
from mediaproxy.service.media import Events


class CallChanges:
    """Implements `api.backend.Changes`. A live call is changed where it lives, an ended one in the log."""

    def __init__(
        self,
        *,
        proxy: Proxy,
        settle: Callable[[], None],
        live_call: Callable[[CallId], CallRecord | None],
        log: CallLog,
        events: Events,
    ) -> None:
        self._proxy = proxy
        self._settle = settle
        self._live_call = live_call
        self._log = log
        self._events = events
        self._one_by_one = asyncio.Lock()  # what is read of the log is written back

    def name_agent(self, call: CallId, agent: str | None) -> Naming:
        naming = self._proxy.name_agent(call, agent, now_ns=time.monotonic_ns())
        self._settle()
        return naming

    async def annotate(self, call: CallId, changes: Mapping[str, str | None]) -> None:
        async with self._one_by_one:
            live = self._live_call(call)
            if live is not None:
                self._proxy.annotate(call, _merged(live, changes), now_ns=time.monotonic_ns())
                self._settle()
            elif (logged := await self._log.call(call)) is not None:
                changed = replace(logged.call, metadata=_merged(logged.call, changes))
                self._log.put_call(changed)
                self._events.publish("call.updated", call, logged=LoggedCall(changed, logged.recording))


def _merged(call: CallRecord, changes: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    metadata = merged(call.metadata, changes)
    if metadata is None:
        raise Unfit(TOO_MANY_KEYS)
    return metadata
