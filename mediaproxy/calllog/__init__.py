"""The call log: one row a call and one a recording, durable whatever the end, on SQLAlchemy.

Here are the values; `calllog.log` and `calllog.reader` bring the database with them, which a media worker has
no use for.
"""

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
    "Cursor",
    "InterruptedCall",
    "IntervalRow",
    "LoggedCall",
    "Page",
    "RecordingRow",
]
