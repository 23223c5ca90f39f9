"""The page with which anybody verifies a recording offline: one file, no connection to anywhere."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files


def page(public_keys: Sequence[str] = ()) -> bytes:
    """The page as HTML. `public_keys`, in PEM, are those that it trusts without being given them.

    Its own policy lets it run this script and no other, and forbids it every connection.
    """
    web = files("mediaproxy.api") / "web"
    style, script = ((web / f"verifier.{kind}").read_text("utf-8") for kind in ("css", "js"))
    keys = json.dumps(list(public_keys)).replace("<", "\\u003c")
    parts = {
        "{{style source}}": _source(style),
        "{{script source}}": _source(script),
        "{{style}}": style,
        "{{keys}}": keys,
        "{{script}}": script,
    }
    return _filled((web / "verifier.html").read_text("utf-8"), parts).encode()


def _source(text: str) -> str:
    """What a Content-Security-Policy calls this inline text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _filled(template: str, parts: dict[str, str]) -> str:
    """Each name once, in the order in which they stand; what was filled in is not looked at again."""
    found: list[str] = []
    for name in sorted(parts, key=template.index):
        before, template = template.split(name, 1)
        found += [before, parts[name]]
    return "".join([*found, template])
