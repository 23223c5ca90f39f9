"""Who may see a call, and who may change its recording."""

import re

from starlette.requests import Request

from mediaproxy.api.problems import NOT_AUTHENTICATED, Problem
from mediaproxy.api.tokens import Caller, Role, Tokens
from mediaproxy.calllog.encode import agents_of
from mediaproxy.calls.events import CallRecord, is_on

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Authentication:
    """A dependency of every route but the open ones: runs before any other judgement."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def __call__(self, request: Request) -> None:  # a plain function would run in a thread
        caller = self._tokens.caller(request.headers.get("authorization"))
        if caller is None:
            raise Problem(NOT_AUTHENTICATED)
        request.state.caller = caller


def caller_of(request: Request) -> Caller:
    caller = request.state.caller
    assert isinstance(caller, Caller)
    return caller


def is_id(text: str) -> bool:
    """Whether it could be an id of ours; nothing else is looked up anywhere."""
    return _UUID.fullmatch(text) is not None


def may_see(caller: Caller, call: CallRecord) -> bool:
    return caller.role is Role.ADMIN or caller.agent in agents_of(call)


def may_toggle(caller: Caller, call: CallRecord) -> bool:
    """Agents only on a call they are on now; before and after it the call itself says no."""
    if caller.role is Role.ADMIN:
        return True
    if call.state != "answered" or not call.participants:
        return caller.agent in agents_of(call)
    return caller.agent is not None and is_on(call, caller.agent)


def may_annotate(caller: Caller, call: CallRecord) -> bool:
    """Agents only a call that they are on now, or that rings for them."""
    if caller.role is Role.ADMIN:
        return True
    if call.state in ("trying", "ringing"):
        return caller.agent in agents_of(call)
    return caller.agent is not None and is_on(call, caller.agent)
