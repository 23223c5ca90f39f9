"""The HTTP interface: the call log, the recordings, and the toggles, for people and scripts."""

from mediaproxy.api.app import create_app
from mediaproxy.api.backend import (
    Action,
    Backend,
    Demand,
    Published,
    Refusal,
    RenditionFormat,
    Renditions,
    Toggled,
)
from mediaproxy.api.server import ApiServer
from mediaproxy.api.tokens import Caller, Role, Token, Tokens

__all__ = [
    "Action",
    "ApiServer",
    "Backend",
    "Caller",
    "Demand",
    "Published",
    "Refusal",
    "RenditionFormat",
    "Renditions",
    "Role",
    "Toggled",
    "Token",
    "Tokens",
    "create_app",
]
