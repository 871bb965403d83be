"""Gives a subscription a new signing secret; an older one may sign beside it for a while, so that no check fails."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import Database
from service.db.notification_tables import subscriptions
from service.errors import NotFound
from service.subscribers.encryption import Encryption
from service.subscribers.errors import RotationUnderWay, SecretUnreadable
from service.subscribers.signature import new_signing_secret
from service.subscribers.store import SHOWN, Subscription, as_subscription, mine

_COLUMNS = subscriptions.c


@dataclass(frozen=True, slots=True)
class Rotation:
    """Whose secret is to change, and how long an older one signs beside the new one.

    `keep` says which, where two sign already: the `current` one, or the `previous` one because nobody has ever seen
    the current one.
    """

    client: str
    subscription_id: UUID
    grace_s: float
    keep: Literal["current", "previous"] | None = None


@dataclass(frozen=True, slots=True)
class Signing:
    """The secrets of a subscription as they are stored; `previous` is there while it still signs."""

    current: str
    previous: str | None


async def rotate_secret(database: Database, encryption: Encryption, wanted: Rotation) -> tuple[Subscription, str]:
    """The subscription and its new secret, which signs from the commit on.

    Raises NotFound, and RotationUnderWay where two secrets sign already and `keep` does not choose one of them.
    """
    secret = new_signing_secret()
    async with database.transaction() as connection:
        kept = _kept(encryption, wanted, await _lock_secrets(connection, wanted))
        values = {
            "id": wanted.subscription_id,
            "secret": encryption.encrypt(wanted.subscription_id, secret),
            "kept": kept,
            "grace_s": None if kept is None else wanted.grace_s,
        }
        await connection.execute(_ROTATE, values)
        query = select(*SHOWN).where(mine(wanted.client, wanted.subscription_id))
        row = (await connection.execute(query)).one()
    return as_subscription(row), secret


async def _lock_secrets(connection: AsyncConnection, wanted: Rotation) -> Signing:
    query = (
        select(_COLUMNS.secret, _COLUMNS.previous_secret, _COLUMNS.previous_secret_until > func.now())
        .where(mine(wanted.client, wanted.subscription_id))
        .with_for_update()
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no such subscription.")
    current, previous, is_signing = row
    return Signing(current, previous if is_signing else None)


def _kept(encryption: Encryption, wanted: Rotation, signing: Signing) -> str | None:
    """What signs beside the new secret; nothing that cannot be read, for then nothing could be signed at all."""
    if wanted.grace_s <= 0:
        return None
    if signing.previous is not None and wanted.keep is None:
        raise RotationUnderWay
    kept = signing.previous if signing.previous is not None and wanted.keep == "previous" else signing.current
    with suppress(SecretUnreadable):
        encryption.decrypt(wanted.subscription_id, kept)
        return kept
    return None


_ROTATE = text("""
    UPDATE subscriptions SET secret = :secret, updated_at = now(), previous_secret = CAST(:kept AS text),
        previous_secret_until = now() + make_interval(secs => CAST(:grace_s AS float8))
    WHERE id = :id
""")
