"""The keys of [sip] that guard us against too much, and against those whom nobody knows."""

from typing import Literal

from pydantic import Field

from mediaproxy.calls.model import Guard
from mediaproxy.config.section import Section
from mediaproxy.limits import MAX_SIP_TRANSACTIONS


class Guarded(Section):
    max_requests_per_second: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="from one address that is no trunk's, outside of calls; more: 503; 0 = no limit",
    )
    max_transactions: int = Field(
        MAX_SIP_TRANSACTIONS,
        ge=100,
        le=MAX_SIP_TRANSACTIONS,
        description="requests under way; more: 503; a quarter is for trunks alone",
    )
    unknown_sources: Literal["refuse", "drop"] = Field(
        "refuse", description="who is neither trunk nor agent: 403, or no answer at all"
    )

    @property
    def guard(self) -> Guard:
        return Guard(self.max_requests_per_second, self.max_transactions, self.unknown_sources == "drop")
