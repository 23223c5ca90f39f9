"""The call log: one row a call and one a recording, durable whatever the end, on SQLAlchemy."""

from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.reader import Reader
from mediaproxy.calllog.rows import (
    CallFilter,
    Cursor,
    InterruptedCall,
    IntervalRow,
    LoggedCall,
    Page,
    RecordingRow,
)

__all__ = [
    "CallFilter",
    "CallLog",
    "Cursor",
    "InterruptedCall",
    "IntervalRow",
    "LoggedCall",
    "Page",
    "Reader",
    "RecordingRow",
]
