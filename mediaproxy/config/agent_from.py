"""Where a PBX says which agent is on its leg."""

from mediaproxy.calls.model import AgentFrom
from mediaproxy.sip.grammar import is_token

HEADER = "header:"


def parse_agent_from(text: str) -> AgentFrom:
    """`header:NAME`, `pai` or `contact`. Raises ValueError with a remedy."""
    if text in ("pai", "contact"):
        return AgentFrom(text)
    header = text.removeprefix(HEADER)
    if header == text or not is_token(header) or len(header) > 64:
        raise ValueError(
            'not a place in a message; write "header:NAME" (e.g. "header:X-Agent"), "pai" or "contact"'
        )
    return AgentFrom("header", header)
