"""Idempotency keys: the same key and request join the task that the first one made, whatever happened in between."""

import hashlib
from dataclasses import asdict, dataclass
from uuid import UUID

import orjson
from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import Database
from service.errors import IdempotencyKeyReused
from service.tasks.schemas import TaskRequest


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key for one route, with the fingerprint of the request that came with it."""

    client: str
    route: str
    key: str
    fingerprint: bytes


def fingerprint_of(wanted: TaskRequest) -> bytes:
    """SHA-256 over the canonical request and the hash of every asset, in their order; file names do not count."""
    request = asdict(wanted) | {"assets": [asset.sha256 for asset in wanted.assets]}
    return hashlib.sha256(orjson.dumps(request, default=str, option=orjson.OPT_SORT_KEYS)).digest()


async def take_key(connection: AsyncConnection, key: IdempotencyKey, task_id: UUID) -> UUID | None:
    """Bind the key to this task; or the task that it is bound to already, None when it is ours now.

    A request that comes while the first one commits waits for that in the unique index: milliseconds.
    Raises IdempotencyKeyReused when the key came with another request.
    """
    values = asdict(key) | {"task_id": task_id}
    while not (await connection.execute(_TAKE, values)).all():
        bound = (await connection.execute(_BOUND, asdict(key))).one_or_none()
        if bound is None:
            continue  # freed between the two statements: it may be ours now
        if bytes(bound.fingerprint) != key.fingerprint:
            raise IdempotencyKeyReused
        return UUID(str(bound.task_id))
    return None


async def is_bound(database: Database, key: IdempotencyKey) -> bool:
    """Whether an earlier request came with this key, whatever it asked for."""
    return bool(await database.statement(_BOUND, asdict(key)))


async def free_key(connection: AsyncConnection, task_id: UUID) -> None:
    """Let the key of a task that charged nothing be used again: its caller got an error and may send it again."""
    await connection.execute(_FREE, {"task_id": task_id})


_TASK_ID = bindparam("task_id", type_=pg.UUID(as_uuid=True))
_TAKE = text(
    """
    INSERT INTO idempotency_keys (client, route, key, fingerprint, task_id)
    VALUES (:client, :route, :key, :fingerprint, :task_id)
    ON CONFLICT DO NOTHING RETURNING task_id
    """
).bindparams(_TASK_ID)
_BOUND = text(
    "SELECT fingerprint, task_id FROM idempotency_keys WHERE client = :client AND route = :route AND key = :key"
)
_FREE = text("DELETE FROM idempotency_keys WHERE task_id = :task_id").bindparams(_TASK_ID)
