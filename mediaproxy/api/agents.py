"""`/v1/agents/{name}/recording/…` and `/v1/me/recording/…`: the recording of the call that an agent is on."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from mediaproxy.api import problems
from mediaproxy.api.access import caller_of
from mediaproxy.api.backend import Action, Backend
from mediaproxy.api.calls import CallRoutes
from mediaproxy.api.problems import Problem
from mediaproxy.api.replies import IdempotencyKey
from mediaproxy.api.shapes import ToggledJson

Toggle = Callable[..., Awaitable[Response]]


class AgentRoutes:
    """A script knows who talks, not which call it is. A call on hold is passed over."""

    def __init__(self, backend: Backend, calls: CallRoutes) -> None:
        self._backend = backend
        self._calls = calls

    def add_to(self, router: APIRouter) -> None:
        for action in Action:
            for path, toggle in (
                (f"/v1/agents/{{name}}/recording/{action.value}", self._of_agent(action)),
                (f"/v1/me/recording/{action.value}", self._of_caller(action)),
            ):
                toggle.__doc__ = f"{action.value.capitalize()} the recording of the call that is not on hold."
                whose = "my" if path.startswith("/v1/me/") else "agents"
                router.add_api_route(
                    path,
                    toggle,
                    methods=["POST"],
                    response_model=ToggledJson,
                    operation_id=f"{action.value}_{whose}_recording",
                )

    def _of_agent(self, action: Action) -> Toggle:
        async def toggle(request: Request, name: str, key: IdempotencyKey = None) -> Response:
            return await self._toggle(request, name, action, key)

        return toggle

    def _of_caller(self, action: Action) -> Toggle:
        async def toggle(request: Request, key: IdempotencyKey = None) -> Response:
            agent = caller_of(request).agent
            if agent is None:
                raise Problem(problems.NO_AGENT)
            return await self._toggle(request, agent, action, key)

        return toggle

    async def _toggle(self, request: Request, agent: str, action: Action, key: str | None) -> Response:
        on = self._backend.talking(agent)
        if not on:
            raise Problem(problems.ON_NO_CALL)
        if len(on) > 1:
            raise Problem(problems.SEVERAL_CALLS, more={"calls": [call.id for call in on]})
        return await self._calls.toggle(request, on[0], action, key)
