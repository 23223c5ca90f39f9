"""Recordings on disk: the spool of live ones, publishing, repair, verification. All of it I/O."""

from mediaproxy.storage.entries import JournalResult, SpoolStats
from mediaproxy.storage.judge import Verdict
from mediaproxy.storage.outcome import Outcome, Refused, Repaired
from mediaproxy.storage.renditions import Renditions
from mediaproxy.storage.repair import in_spool, pending, published, repair, repair_one
from mediaproxy.storage.spool import Spool
from mediaproxy.storage.store import PublishedFile, Storage
from mediaproxy.storage.verify import Verification, verify

__all__ = [
    "JournalResult",
    "Outcome",
    "PublishedFile",
    "Refused",
    "Renditions",
    "Repaired",
    "Spool",
    "SpoolStats",
    "Storage",
    "Verdict",
    "Verification",
    "in_spool",
    "pending",
    "published",
    "repair",
    "repair_one",
    "verify",
]
