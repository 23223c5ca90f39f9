"""What is wrong with a configuration: where, what, and how to mend it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mediaproxy.errors import MediaproxyError


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """`where` is the file or the environment variable; `value` is None for secrets and whole tables."""

    severity: Severity
    where: str
    key: str
    value: str | None
    problem: str
    remedy: str

    def __str__(self) -> str:
        value = "" if self.value is None else f" = {self.value}"
        return f"{self.severity.value}: {self.where}: {self.key}{value}: {self.problem}; {self.remedy}"


class BadConfiguration(MediaproxyError):
    """A configuration that cannot be used; the text has a line for each finding."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


def bad_file(path: Path, problem: str, remedy: str) -> BadConfiguration:
    return BadConfiguration([Finding(Severity.ERROR, str(path), "(file)", None, problem, remedy)])
