"""Durable assets of tasks that wait: in pieces in Postgres, streamed in from the spool and out to it again."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import Database
from service.errors import AssetsGone
from service.uploads.spool import Asset, SpoolFile


async def store_assets(connection: AsyncConnection, task_id: UUID, assets: Sequence[Asset], spool: SpoolFile) -> None:
    """Copy the assets from the spool, piece by piece, within the caller's transaction."""
    for asset_number, asset in enumerate(assets):
        chunk_number = 0
        async for piece in spool.slices(asset):
            values = {"id": task_id, "asset": asset_number, "chunk": chunk_number, "content": bytes(piece)}
            await connection.execute(_STORE, values)
            chunk_number += 1


async def copy_assets(connection: AsyncConnection, source_id: UUID, task_id: UUID) -> None:
    """Give another task the same assets, without their leaving the database."""
    await connection.execute(_COPY, {"source": source_id, "id": task_id})


async def load_assets(
    database: Database, task_id: UUID, shown: Sequence[dict[str, Any]], spool: SpoolFile
) -> tuple[Asset, ...]:
    """Copy the assets back into a spool file, piece by piece; `shown` is what the task says of them.

    Raises AssetsGone when they are not complete, Unavailable when the spool is full or Postgres away.
    """
    return tuple([await _load(database, task_id, number, asset, spool) for number, asset in enumerate(shown)])


async def _load(database: Database, task_id: UUID, number: int, shown: dict[str, Any], spool: SpoolFile) -> Asset:
    offset, chunk_number = spool.size_bytes, 0
    while spool.size_bytes - offset < shown["size_bytes"]:
        rows = await database.statement(_LOAD, {"id": task_id, "asset": number, "chunk": chunk_number})
        if not rows:
            raise AssetsGone
        await _write(spool, bytes(rows[0].content))
        chunk_number += 1
    return Asset(shown["filename"], shown["content_type"], shown["size_bytes"], shown["sha256"], offset)


async def _write(spool: SpoolFile, piece: bytes) -> None:
    await spool.in_thread(lambda: spool.write(piece))


_ID = bindparam("id", type_=pg.UUID(as_uuid=True))
_STORE = text(
    "INSERT INTO asset_chunks (task_id, asset_number, chunk_number, content) VALUES (:id, :asset, :chunk, :content)"
).bindparams(_ID)
_LOAD = text(
    "SELECT content FROM asset_chunks WHERE task_id = :id AND asset_number = :asset AND chunk_number = :chunk"
).bindparams(_ID)
_COPY = text(
    """
    INSERT INTO asset_chunks (task_id, asset_number, chunk_number, content)
    SELECT :id, asset_number, chunk_number, content FROM asset_chunks WHERE task_id = :source
    """
).bindparams(_ID, bindparam("source", type_=pg.UUID(as_uuid=True)))
