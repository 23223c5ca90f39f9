"""How a call ended, in the words of the log."""

from dataclasses import dataclass

# What a callee's refusal means; 480 and 408 depend on whether it ever rang.
_DISPOSITIONS = {486: "busy", 600: "busy", 403: "rejected", 603: "rejected"}
_UNREACHED = frozenset({408, 480})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`ended_by` is caller, callee or us. `farewell` is what our BYEs give as the reason (RFC 3326)."""

    disposition: str
    sip_status: int
    ended_by: str
    farewell: str | None = None


def refused(status: int, *, rang: bool) -> Outcome:
    if status in _UNREACHED:
        return Outcome("no_answer" if rang else "unavailable", status, "callee")
    return Outcome(_DISPOSITIONS.get(status, "failed"), status, "callee")


def answered(ended_by: str) -> Outcome:
    return Outcome("answered", 200, ended_by)
