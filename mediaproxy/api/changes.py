"""`PATCH /v1/calls/{id}` and `PUT /v1/calls/{id}/agent`: what a call is about, and who is on it."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from mediaproxy.api import problems
from mediaproxy.api.access import caller_of, may_annotate
from mediaproxy.api.backend import Changes, Unfit
from mediaproxy.api.bodies import body_as, described
from mediaproxy.api.calls import CallRoutes
from mediaproxy.api.problems import Problem
from mediaproxy.api.shapes import CallJson
from mediaproxy.api.tokens import Role
from mediaproxy.calls.behind import Naming
from mediaproxy.calls.metadata import MAX_KEY, MAX_VALUE

Key = Annotated[str, Field(min_length=1, max_length=MAX_KEY)]
Value = Annotated[str, Field(max_length=MAX_VALUE)]


class Annotation(BaseModel):
    """Keys to set, and to remove (null); what is not named stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    metadata: dict[Key, Value | None]


class AgentNow(BaseModel):
    """Who is on the leg of the call's PBX; null: nobody whom we know."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agent: str | None


class ChangeRoutes:
    """Answers with the call as it is then."""

    def __init__(self, changes: Changes, calls: CallRoutes) -> None:
        self._changes = changes
        self._calls = calls

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(
            "/v1/calls/{id}",
            self.annotate,
            methods=["PATCH"],
            response_model=CallJson,
            openapi_extra=described(Annotation),
        )
        router.add_api_route(
            "/v1/calls/{id}/agent",
            self.name_agent,
            methods=["PUT"],
            response_model=CallJson,
            openapi_extra=described(AgentNow),
        )

    async def annotate(self, request: Request, id: str) -> Response:
        """Set and remove metadata. Agents: of a call they are on; admins: of any."""
        call = (await self._calls.known_call(id)).call
        if not may_annotate(caller_of(request), call):
            raise Problem(problems.NOT_YOURS)
        wanted = await body_as(Annotation, request)
        try:
            await self._changes.annotate(call.id, wanted.metadata)
        except Unfit as unfit:
            raise Problem(problems.INVALID, f"metadata: {unfit}") from unfit
        return await self._calls.get_call(request, id)

    async def name_agent(self, request: Request, id: str) -> Response:
        """Say which agent behind a PBX is on the call. Admins alone."""
        call = (await self._calls.known_call(id)).call
        if caller_of(request).role is not Role.ADMIN:
            raise Problem(problems.ADMINS_ALONE)
        wanted = await body_as(AgentNow, request)
        naming = self._changes.name_agent(call.id, wanted.agent)
        if naming is not Naming.DONE:
            raise Problem(problems.NAMINGS[naming])
        return await self._calls.get_call(request, id)
