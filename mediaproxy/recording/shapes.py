"""Whether values that were read are of the types that their dataclass names: JSON promises none of it."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, NewType, get_args, get_origin, get_type_hints


def has_its_shape(value: object) -> bool:
    """Whether every field of a dataclass, and of those within it, is what its annotation says: an integer
    that is no boolean, a tuple of one type, nothing where it may be."""
    kind: Any = type(value)
    return all(_fits(getattr(value, name), hint) for name, hint in _hints(kind).items())


def _fits(value: object, hint: Any) -> bool:
    if isinstance(hint, NewType):  # a text is an id of ours
        return _fits(value, hint.__supertype__) and (not isinstance(value, str) or value.isascii())
    if isinstance(hint, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(each, get_args(hint)[0]) for each in value)
    if is_dataclass(hint):
        return type(value) is hint and has_its_shape(value)
    return type(value) is (NoneType if hint is None else hint)


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)
