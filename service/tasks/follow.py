"""The events of one task in the order in which it moved, and those to come as they come."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database
from service.errors import NotFound
from service.tasks.state import EventType, State, is_final
from service.tasks.watch import Watch


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """Something that was told of a task; `body` is the JSON that subscribers get."""

    id: UUID
    type: EventType
    body: str


@dataclass(frozen=True, slots=True)
class Told:
    """The events of a task after the one that a caller has seen, and where the task stands."""

    task_id: UUID
    state: State
    version: int
    events: Sequence[TaskEvent]


async def told_after(database: Database, client: str, task_id: UUID, seen: UUID | None) -> Told:
    """The events that came after the one seen, all of them when the task has no event with that id.

    NotFound when there is no such task or it is another client's.
    """
    rows = await database.statement(_TOLD, {"task_id": task_id, "client": client, "seen": seen})
    if not rows:
        raise NotFound("There is no such task.")
    events = [TaskEvent(row.id, row.type, row.body) for row in rows if row.id is not None]
    return Told(task_id, rows[0].state, rows[0].version, events)


async def follow(
    watch: Watch, database: Database, client: str, told: Told, quiet_s: float
) -> AsyncGenerator[TaskEvent | None, None]:
    """The events told and those to come, until the task has ended or we shut down; None after `quiet_s` of silence.

    No database connection is held while it waits. Raises Unavailable when Postgres is away.
    """
    seen: UUID | None = None
    with watch.following(told.task_id, told.version) as waiter:
        while True:
            for event in told.events:
                seen = event.id
                yield event
            if is_final(told.state):
                return
            watch.look_again(told.task_id, waiter, told.version)
            while not await waiter.wait(quiet_s):
                yield None
            if watch.is_closed:
                return
            told = await told_after(database, client, told.task_id, seen)


# Ordered by the version that each event tells of: ids come from the clocks of several machines.
_VERSION = "CAST(CAST({event}.body AS json) #>> '{{data,version}}' AS int)"
_TOLD = text(
    f"""
    SELECT t.state, t.version, e.id, e.type, e.body
    FROM tasks t
    LEFT JOIN events seen ON seen.id = :seen AND seen.task_id = t.id
    LEFT JOIN events e ON e.task_id = t.id
        AND (seen.id IS NULL OR {_VERSION.format(event="e")} > {_VERSION.format(event="seen")})
    WHERE t.id = :task_id AND t.client = :client
    ORDER BY {_VERSION.format(event="e")}
    """
).bindparams(bindparam("task_id", type_=pg.UUID(as_uuid=True)), bindparam("seen", type_=pg.UUID(as_uuid=True)))
