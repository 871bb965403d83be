"""Reading tasks. A task has one JSON form, rendered by Postgres: answers, lists and events show the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database
from service.errors import NotFound
from service.tasks.state import FINAL, State

_MOMENTS = ("created_at", "updated_at", "submitted_at", "ended_at", "deadline_at")


def moment_sql(expression: str) -> str:
    """The SQL expression for a moment as RFC 3339 text in UTC, to the microsecond."""
    return f"to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def task_json(row: str) -> str:
    """The SQL expression for the JSON form of the task row with this alias; `schemas.Task` describes it."""
    moments = ", ".join(f"'{name}', {moment_sql(f'{row}.{name}')}" for name in _MOMENTS)
    return f"""json_build_object(
        'id', {row}.id, 'state', {row}.state, 'version', {row}.version, 'model_id', {row}.model_id,
        'prompt', {row}.prompt, 'generations_count', {row}.generations_count,
        'model_parameters', {row}.model_parameters, 'assets', {row}.assets,
        'client_reference', {row}.client_reference, 'metadata', {row}.metadata, 'progress', {row}.progress,
        'images', {row}.images, 'estimated_credits', trim_scale({row}.estimated_credits),
        'credits', CASE WHEN {row}.ended_at IS NOT NULL THEN trim_scale({row}.credits) END,
        'max_credits', trim_scale({row}.max_credits),
        'priority', CASE {row}.priority WHEN 0 THEN 'normal' ELSE 'low' END,
        'error', CASE WHEN {row}.error_code IS NOT NULL
            THEN json_build_object('code', {row}.error_code, 'message', {row}.error_message) END,
        'attempt', {row}.attempt, 'upstream_task_id', {row}.upstream_task_id, {moments})"""


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as it stands in the database; `body` is its JSON form, ready to be sent."""

    id: UUID
    state: State
    version: int
    body: bytes

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a listing is narrowed to; None means any."""

    state: State | None = None
    model_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    client_reference: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks, newest first; `next_cursor` is None on the last page."""

    tasks: Sequence[StoredTask]
    next_cursor: UUID | None


_COLUMNS = f"t.id, t.state, t.version, {task_json('t')}::text AS body"
_GET = text(f"SELECT {_COLUMNS} FROM tasks t WHERE t.id = :id AND t.client = :client")
_CONDITIONS = {
    "state": "t.state = :state",
    "model_id": "t.model_id = :model_id",
    "created_after": "t.created_at > :created_after",
    "created_before": "t.created_at < :created_before",
    "client_reference": "t.client_reference = :client_reference",
    "cursor": "t.id < :cursor",
}


def stored(row: Row[Any]) -> StoredTask:
    """The task in a row with the columns id, state, version and body."""
    return StoredTask(row.id, row.state, row.version, row.body.encode())


async def get_task(database: Database, client: str, task_id: UUID) -> StoredTask:
    """The client's task; NotFound when there is none or it is another client's."""
    rows = await database.statement(_GET, {"id": task_id, "client": client})
    if not rows:
        raise NotFound("There is no such task.")
    return stored(rows[0])


async def list_tasks(database: Database, client: str, wanted: TaskFilter, cursor: UUID | None, limit: int) -> Page:
    """At most `limit` of the client's tasks, newest first, older than the cursor."""
    values: dict[str, Any] = {name: getattr(wanted, name) for name in _CONDITIONS if name != "cursor"}
    values = {name: value for name, value in (values | {"cursor": cursor}).items() if value is not None}
    conditions = " AND ".join(["t.client = :client", *(_CONDITIONS[name] for name in values)])
    sql = text(f"SELECT {_COLUMNS} FROM tasks t WHERE {conditions} ORDER BY t.id DESC LIMIT :limit")
    rows = await database.statement(sql, {**values, "client": client, "limit": limit + 1})
    found = [stored(row) for row in rows]
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


_VERSIONS = text("SELECT id, state, version FROM tasks WHERE id = ANY(:ids)").bindparams(
    bindparam("ids", type_=pg.ARRAY(pg.UUID(as_uuid=True)))
)


async def versions(database: Database, ids: Sequence[UUID]) -> dict[UUID, tuple[State, int]]:
    """State and version of these tasks, in one read."""
    rows = await database.statement(_VERSIONS, {"ids": list(ids)})
    return {row.id: (row.state, row.version) for row in rows}
