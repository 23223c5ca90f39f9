"""The table of calls for help: their numbers, and who carries them."""

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field, model_validator

from mediaproxy.calls.model import EmergencyPlan, Policy, RecordingPolicy
from mediaproxy.config.findings import Finding, Severity
from mediaproxy.config.section import Section
from mediaproxy.config.texts import CallerId, EmergencyNumber, Name, PolicyName


class EmergencySection(Section):
    """Calls for help. Tested before every route, limit, drain and 503."""

    numbers: Annotated[tuple[EmergencyNumber, ...], Field(description="as they are dialled; [] = none")] = ()
    trunks: tuple[Name, ...] = Field((), description="who carries them: the first that is reached")
    caller_id: CallerId = Field("", description='the number that is called back; "" = the caller\'s own')
    recording: PolicyName = Field("off", description="of these calls, whatever route or agent say")

    @property
    def plan(self) -> EmergencyPlan | None:
        if not self.numbers:
            return None
        # Without an announcement and its consent: nothing may come before help does.
        recording = RecordingPolicy(Policy(self.recording))
        return EmergencyPlan(frozenset(self.numbers), self.trunks, self.caller_id, recording)

    @model_validator(mode="after")
    def _somebody_carries_them(self) -> "EmergencySection":
        if self.numbers and not self.trunks:
            raise ValueError('who carries these calls? add trunks = ["NAME"]')
        if self.trunks and not self.numbers:
            raise ValueError('calls to which numbers? add numbers = ["112"]')
        return self


def judge_emergency(section: EmergencySection, trunks: Iterable[str], file: str) -> Iterator[Finding]:
    known = set(trunks)
    for number, name in enumerate(section.trunks):
        if name not in known:
            yield Finding(
                Severity.ERROR, file, f"emergency.trunks[{number}]", name, "no such trunk",
                f"use one of {', '.join(sorted(known))}" if known else "there are none yet: add it",
            )  # fmt: skip
