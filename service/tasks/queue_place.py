"""Where a waiting task stands in the queue, in the order in which dispatch takes them, and when its turn may come."""

from dataclasses import dataclass

from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.resources import Resources
from service.tasks.durations import Durations
from service.tasks.store import StoredTask


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """`position` 1 is next; `estimated_start_s` from now, from measured durations, None where there is no cap."""

    position: int
    estimated_start_s: float | None


async def queue_place(resources: Resources, durations: Durations, task: StoredTask) -> QueuePlace | None:
    """The task's place; None when it does not wait any more. It moves without a change of the task's version."""
    settings = resources.settings
    rows = await resources.db.statement(_PLACE, {"id": task.id, "account": settings.upstream_account})
    if not rows or rows[0].position is None:
        return None
    position, slots = int(rows[0].position), settings.upstream_max_active_tasks
    expected_s = await durations.expected_s(rows[0].model_id)
    return QueuePlace(position, round(expected_s * position / slots, 1) if slots else None)


# In the order of dispatch._PICK.
_PLACE = text(
    """
WITH open AS (
    SELECT client, count(*) AS tasks FROM tasks WHERE account = :account AND slot_until > now() GROUP BY client
),
line AS (
    SELECT t.id, t.model_id, t.priority, COALESCE(l.sent_at, '-infinity') AS sent_at, COALESCE(o.tasks, 0)
        + row_number() OVER (PARTITION BY t.client ORDER BY t.priority, t.id) AS turn
    FROM tasks t
    LEFT JOIN open o ON o.client = t.client
    LEFT JOIN queue_turns l ON l.account = :account AND l.client = t.client
    WHERE t.account = :account AND t.state = 'queued'
),
mine AS (SELECT * FROM line WHERE id = :id)
SELECT mine.model_id, (
    SELECT count(*) FROM line
    WHERE (line.priority, line.turn, line.sent_at, line.id) <= (mine.priority, mine.turn, mine.sent_at, mine.id)
) AS position
FROM mine
"""
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
