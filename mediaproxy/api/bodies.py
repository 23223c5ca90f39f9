"""A request's JSON body: read once it is known who asks for what, and never more of it than is meant."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from mediaproxy.api import problems
from mediaproxy.api.problems import Problem

MAX_BODY_BYTES = 16_384

Body = TypeVar("Body", bound=BaseModel)


async def body_as(model: type[Body], request: Request) -> Body:
    """A body that the framework reads is read and parsed, however long, before the token is looked at."""
    try:
        return model.model_validate_json(await _read(request))
    except ValidationError as error:
        raise Problem(problems.INVALID, problems.named(error.errors()[0])) from error


def described(model: type[BaseModel]) -> dict[str, object]:
    """For the schema, which cannot see it in the route's signature."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise Problem(problems.TOO_LARGE)
    return bytes(body)
