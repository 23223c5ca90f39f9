"""`/v1/webhooks`: whether messages arrive, and once more those that did not. For admins."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, field_validator
from starlette.requests import Request
from starlette.responses import Response

from mediaproxy.api import problems
from mediaproxy.api.access import caller_of
from mediaproxy.api.backend import Webhooks
from mediaproxy.api.calls import with_plus
from mediaproxy.api.problems import Problem
from mediaproxy.api.replies import json_response
from mediaproxy.api.shapes import ReplayedJson, WebhooksJson, webhook_json
from mediaproxy.api.tokens import Role

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Since(BaseModel):
    """From which time on messages are posted once more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: AwareDatetime

    @field_validator("since", mode="before")
    @classmethod
    def _as_meant(cls, text: str) -> str:
        return with_plus(text)


class WebhookRoutes:
    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/v1/webhooks", self.list_webhooks, response_model=WebhooksJson)
        router.add_api_route(
            "/v1/webhooks/{name}/replay", self.replay, methods=["POST"], response_model=ReplayedJson
        )

    async def list_webhooks(self, request: Request) -> Response:
        """How each one's outbox stands, with its latest messages."""
        _require_admin(request)
        return json_response({"webhooks": [webhook_json(one) for one in await self._webhooks.states()]})

    async def replay(self, request: Request, name: str, query: Annotated[Since, Query()]) -> Response:
        """Post once more what happened since then, with the ids that it had."""
        _require_admin(request)
        count = await self._webhooks.replay(name, (query.since - _EPOCH) // timedelta(milliseconds=1))
        if count is None:
            raise Problem(problems.NO_SUCH_WEBHOOK)
        return json_response({"replayed": count})


def _require_admin(request: Request) -> None:
    if caller_of(request).role is not Role.ADMIN:
        raise Problem(problems.ADMINS_ALONE)
