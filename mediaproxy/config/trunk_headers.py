"""Headers of INVITEs to a carrier: `[[trunks]] headers`."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from mediaproxy.calls.model import HeaderRules
from mediaproxy.config.section import Section
from mediaproxy.sip.grammar import is_token
from mediaproxy.sip.headers import header_key

# What makes the transaction, the dialog, the way and the body, and what we ourselves can do.
_OURS = frozenset(
    {
        *("via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "route", "record-route", "path"),
        *(
            "allow",
            "supported",
            "require",
            "proxy-require",
            "expires",
            "session-expires",
            "min-se",
            "mime-version",
        ),
        *("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"),
        *("authentication-info", "proxy-authentication-info", "rseq", "rack", "replaces", "record"),
    }
)
# What others sign or rely on: who diverted a call, who vouches for it, where it is, why.
_OTHERS = frozenset({"diversion", "identity", "identity-info", "geolocation", "reason"})


def _name(name: str) -> str:
    if not is_token(name) or len(name) > 64:
        raise ValueError("not a header's name; use letters, digits and - (at most 64)")
    key = header_key(name)
    if key in _OURS or key.startswith("content-"):
        raise ValueError("this header makes the call what it is; leave it out")
    if key in _OTHERS or key.startswith("geolocation-"):
        raise ValueError("this header passes untouched; leave it out")
    return name


def _value(value: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f\x7f]{0,512}", value) or value != value.strip():
        raise ValueError("not a header's value; write one line of at most 512 signs, no blanks around it")
    return value


HeaderName = Annotated[str, AfterValidator(_name)]
HeaderValue = Annotated[str, AfterValidator(_value)]


class HeadersSection(Section):
    """What INVITEs to this trunk say otherwise than the caller's did."""

    remove: tuple[HeaderName, ...] = Field((), description="these go")
    set: dict[HeaderName, HeaderValue] = Field({}, description="in the place of whatever was there")
    add: dict[HeaderName, HeaderValue] = Field({}, description="one more, beside what is there")

    @property
    def rules(self) -> HeaderRules:
        return HeaderRules(self.remove, tuple(self.set.items()), tuple(self.add.items()))
