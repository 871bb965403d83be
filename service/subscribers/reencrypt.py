"""Writes stored signing secrets anew with the first encryption key, so that older keys can be dropped."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from service.db.engine import Database
from service.subscribers.encryption import Encryption
from service.subscribers.errors import SecretUnreadable

BATCH = 500
BEFORE_ALL_IDS = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Reencrypted:
    """How many subscriptions have their secrets in the first key's form now, and those that no key can read."""

    written: int
    unreadable: tuple[UUID, ...]


async def reencrypt(database: Database, encryption: Encryption) -> Reencrypted:
    """Encrypt every stored secret with the first key, also those from before there was encryption; commits by batch.

    Safe to repeat and to run while others serve: a secret that is rotated meanwhile is not touched but looked at again.
    A secret that no longer signs is forgotten.
    """
    await database.statement(_FORGET)
    after, written, unreadable = BEFORE_ALL_IDS, 0, dict[UUID, None]()
    while rows := await _next_batch(database, encryption, after, unreadable):
        changes = {row.id: _anew(encryption, row) for row in rows}
        unreadable |= {each: None for each, change in changes.items() if change is None}
        written += await _store(database, [change for change in changes.values() if change is not None])
        after = rows[-1].id
    return Reencrypted(written, tuple(unreadable))


async def _next_batch(
    database: Database, encryption: Encryption, after: UUID, unreadable: Collection[UUID]
) -> Sequence[Row[Any]]:
    """Rows behind `after`; then from the start, those that were changed while we wrote."""
    values = {"prefix": encryption.current_prefix, "batch": BATCH, "except": list(unreadable)}
    rows = await database.statement(_NEXT, {**values, "after": after})
    return rows or await database.statement(_NEXT, {**values, "after": BEFORE_ALL_IDS})


def _anew(encryption: Encryption, row: Row[Any]) -> dict[str, object] | None:
    """The row's secrets before and after; None if one of them cannot be read."""

    def again(stored: str | None) -> str | None:
        return None if stored is None else encryption.encrypt(row.id, encryption.decrypt(row.id, stored))

    try:
        after = {"secrets": again(row.secret), "previous": again(row.previous_secret)}
    except SecretUnreadable:
        return None
    return {"ids": row.id, "old_secrets": row.secret, "old_previous": row.previous_secret, **after}


async def _store(database: Database, changes: Sequence[dict[str, object]]) -> int:
    names = ("ids", "old_secrets", "old_previous", "secrets", "previous")
    values = {name: [change[name] for change in changes] for name in names}
    return len(await database.statement(_WRITE, values)) if changes else 0


_FORGET = text("""
    UPDATE subscriptions SET previous_secret = NULL, previous_secret_until = NULL WHERE previous_secret_until <= now()
""")
_NEXT = text("""
    SELECT id, secret, previous_secret FROM subscriptions
    WHERE id > :after AND id <> ALL (CAST(:except AS uuid[])) AND NOT (starts_with(secret, :prefix)
        AND (previous_secret IS NULL OR starts_with(previous_secret, :prefix)))
    ORDER BY id LIMIT :batch
""")
# Only where the row still has what was read: a rotation that came between has the newer secret.
_WRITE = text("""
    UPDATE subscriptions s SET secret = o.secret, previous_secret = o.previous
    FROM unnest(CAST(:ids AS uuid[]), CAST(:old_secrets AS text[]), CAST(:old_previous AS text[]),
        CAST(:secrets AS text[]), CAST(:previous AS text[])) AS o (id, old_secret, old_previous, secret, previous)
    WHERE s.id = o.id AND s.secret = o.old_secret AND s.previous_secret IS NOT DISTINCT FROM o.old_previous
    RETURNING s.id
""")
