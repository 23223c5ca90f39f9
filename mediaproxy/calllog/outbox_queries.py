"""The outbox as SQL."""

from dataclasses import fields
from typing import Any

from sqlalchemy import Delete, Select, Update, bindparam, delete, func, or_, select, tuple_, update

from mediaproxy.calllog.outbox import PRUNED_AT_ONCE, WAITING, Delivery, Prune, Replay
from mediaproxy.calllog.tables import webhook_outbox as outbox


def due(webhook: str, now_ms: int, limit: int) -> Select[Any]:
    return (
        select(outbox.c.id, outbox.c.attempts, outbox.c.body)
        .where(outbox.c.webhook == webhook, outbox.c.state == WAITING, outbox.c.next_at_ms <= now_ms)
        .order_by(outbox.c.next_at_ms)
        .limit(limit)
    )


def outlook(webhook: str) -> Select[Any, Any, Any]:
    return select(func.count(), func.min(outbox.c.created_at_ms), func.min(outbox.c.next_at_ms)).where(
        outbox.c.webhook == webhook, outbox.c.state == WAITING
    )


def deliveries(webhook: str, limit: int) -> Select[Any]:
    columns = [outbox.c[name] for name in (field.name for field in fields(Delivery))]
    return (
        select(*columns)
        .where(outbox.c.webhook == webhook)
        .order_by(outbox.c.created_at_ms.desc(), outbox.c.id.desc())
        .limit(limit)
    )


def count_since(webhook: str, since_ms: int) -> Select[Any]:
    return select(func.count()).where(outbox.c.webhook == webhook, outbox.c.created_at_ms >= since_ms)


def attempt() -> Update:
    changed = ("state", "attempts", "next_at_ms", "tried_at_ms", "status", "error")
    return (
        update(outbox)
        .where(outbox.c.webhook == bindparam("of_webhook"), outbox.c.id == bindparam("of_id"))
        .values({name: bindparam(name) for name in changed})
    )


def replay(wanted: Replay) -> Update:
    return (
        update(outbox)
        .where(outbox.c.webhook == wanted.webhook, outbox.c.created_at_ms >= wanted.since_ms)
        .values(state=WAITING, attempts=0, next_at_ms=wanted.now_ms)
    )


def prune(wanted: Prune) -> Delete:
    """Not all at once: other rows wait meanwhile."""
    over = or_(outbox.c.state != WAITING, outbox.c.created_at_ms < wanted.any_ms)
    oldest = select(outbox.c.webhook, outbox.c.id).where(outbox.c.created_at_ms < wanted.done_ms, over)
    return delete(outbox).where(tuple_(outbox.c.webhook, outbox.c.id).in_(oldest.limit(PRUNED_AT_ONCE)))
