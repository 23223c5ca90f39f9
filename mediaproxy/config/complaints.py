"""pydantic's errors in an operator's words: file, key, value (never a secret), remedy."""

import os
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mediaproxy.config.findings import Finding, Severity
from mediaproxy.config.settings import ENV_DELIMITER, ENV_PREFIX, Config

Location = tuple[int | str, ...]

MAX_VALUE = 80  # of an operator's value that is repeated

_SECRET = ("token", "password", "secret", "key", "ha1", "ha256")  # what is never shown is called so

# Keys that a later version will know: refused in words of their own.
LATER = {
    ("routes", "agents"): ("a route cannot lead to several agents yet", 'give one: agent = "NAME"'),
}

REMEDIES = {
    "missing": ("missing", "add it"),
    "bool_parsing": ("neither true nor false", "write true or false"),
    "bool_type": ("neither true nor false", "write true or false"),
    "int_parsing": ("not a whole number", "write one without quotes"),
    "int_type": ("not a whole number", "write one without quotes"),
    "float_parsing": ("not a number", "write one without quotes"),
    "float_type": ("not a number", "write one without quotes"),
    "string_type": ("not a text", 'write it in quotes, e.g. "text"'),
    "tuple_type": ("not a list", "write it in brackets, e.g. [ … ]"),
    "model_type": ("not a table", "write it as [table] or { key = value }"),
    "model_attributes_type": ("not a table", "write it as [table] or { key = value }"),
}


def complaints(error: ValidationError, file: str) -> list[Finding]:
    return [_finding(one, file) for one in _once_a_key(error.errors(include_url=False))]


def _once_a_key(errors: list[Any]) -> list[Any]:
    """A value that may be a text or a list fails as both; what was meant is the kind that it is."""
    kept: dict[Location, Any] = {}
    for error in errors:
        location = _key_path(error["loc"])
        wrong_kind = error["type"] in ("string_type", "tuple_type")
        if location not in kept or not wrong_kind:
            kept[location] = error
    return list(kept.values())


def _finding(error: Any, file: str) -> Finding:
    location = _key_path(error["loc"])
    problem, remedy = _words(error, location)
    return Finding(
        Severity.ERROR, _where(location, file), _key(location), _shown(error, location), problem, remedy
    )


def _words(error: Any, location: Location) -> tuple[str, str]:
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(location)
    if kind in REMEDIES:
        return REMEDIES[kind]
    if kind == "literal_error":
        return "not one of the values that are known", f"use {error['ctx']['expected']}"
    problem, _, remedy = str(error["msg"]).removeprefix("Value error, ").partition("; ")
    return problem, remedy or "see configs/example.toml"


def _unknown_key(location: Location) -> tuple[str, str]:
    names = tuple(part for part in location if isinstance(part, str))
    if names in LATER:
        return LATER[names]
    known = _keys_of(location[:-1])
    near = get_close_matches(str(location[-1]), known, 1, 0.6)
    return "unknown key", f"did you mean {near[0]}?" if near else f"remove it; known are {', '.join(known)}"


def _keys_of(location: Location) -> list[str]:
    model: type[BaseModel] = Config
    for part in location:
        if isinstance(part, str):
            named = {field.alias or name: field for name, field in model.model_fields.items()}
            model = _model_in(named[part].annotation)
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel]:
    """The section behind an annotation: itself, or what the list is of."""
    while not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        annotation = get_args(annotation)[0]
    return annotation


def _key_path(location: Location) -> Location:
    """Without pydantic's names for the branches of `text or list`."""
    return tuple(part for part in location if part != "str" and not str(part).startswith("tuple["))


def _key(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _where(location: Location, file: str) -> str:
    """The variable that set the value, if one did: as deep as the key itself, or one of its parents."""
    names = [str(part).upper() for part in location]
    for depth in range(len(names), 0, -1):
        variable = ENV_PREFIX + ENV_DELIMITER.join(names[:depth])
        if any(name.upper() == variable for name in os.environ):
            return variable
    return file


def _shown(error: Any, location: Location) -> str | None:
    """Tables are not repeated, secrets never."""
    value = error["input"]
    if (
        _may_be_secret(error, location)
        or error["type"] == "missing"
        or not isinstance(value, str | int | float | bool)
    ):
        return None
    text = repr(value) if isinstance(value, str) else str(value).lower()
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"


def _may_be_secret(error: Any, location: Location) -> bool:
    """Also whatever was meant to be a token or a password, at a misspelt key, and a password within a URL."""
    misspelt = error["type"] == "extra_forbidden" and (location[0] == "api" or "register" in location)
    named = any(word in str(location[-1]).lower() for word in _SECRET)
    in_url = location[0] in ("database", "webhooks") and "@" in str(error["input"])
    return misspelt or named or in_url or "tokens" in location
