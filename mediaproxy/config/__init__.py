"""The configuration: one TOML file, every key also by environment, every mistake said in one line."""

from mediaproxy.config.check import check
from mediaproxy.config.findings import BadConfiguration, Finding, Severity
from mediaproxy.config.load import load
from mediaproxy.config.plan import needs_restart, plan
from mediaproxy.config.settings import Config, json_schema

__all__ = [
    "BadConfiguration",
    "Config",
    "Finding",
    "Severity",
    "check",
    "json_schema",
    "load",
    "needs_restart",
    "plan",
]
