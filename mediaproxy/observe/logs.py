"""Log lines: constant event names with fields, JSON for machines or columns for people, on stderr.

Everywhere outside the core: `structlog.get_logger().info("call_ended", call=id)`. What other
libraries log through the standard library comes out in the same form, from WARNING on.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

# Never in a log, whoever passes it: credentials, what was dialled, what was said.
FORBIDDEN_FIELDS = frozenset(
    {"token", "authorization", "password", "secret", "digits", "digit", "payload", "audio", "frames", "key"}
)

Event = MutableMapping[str, Any]


def configure_logging(*, as_json: bool | None = None, level: str = "info") -> None:
    """Set up structlog and the standard library; JSON unless stderr is a terminal."""
    if as_json is None:
        as_json = not sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold,
    ]
    structlog.configure(
        processors=[*shared, *_renderers(as_json)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _adopt_standard_library(shared, as_json)


def withhold(_logger: object, _method: str, event: Event) -> Event:
    """Replace what must not be written down, whatever its value."""
    for field in FORBIDDEN_FIELDS & event.keys():
        event[field] = "withheld"
    return event


def _renderers(as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer()]


def _adopt_standard_library(shared: list[Processor], as_json: bool) -> None:
    remove: Callable[..., Any] = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[remove, *_renderers(as_json)]
        )
    )
    root = logging.getLogger()
    root.handlers = [stream]
    root.setLevel(logging.WARNING)
