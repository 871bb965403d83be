"""The reconciler's SQL over tasks whose `poll_at` has come: what the clock alone settles, what is put off."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database

# The moment by which a task must have ended; the longest age of every task is one deadline, the caller's another.
_DEADLINE_SQL = "LEAST({0}.deadline_at, {0}.created_at + make_interval(secs => :max_age_s))"

# True where the clock decides, or where there is no id to ask by; never null.
NEEDS_NO_ASKING_SQL = f"""(
    {{0}}.upstream_task_id IS NULL
    OR ({{0}}.state = 'submitting' AND COALESCE({{0}}.lease_until <= now(), true))
    OR ({{0}}.state IN ('queued', 'processing', 'unknown') AND {_DEADLINE_SQL} <= now())
)"""

# What a look needs to know. `left_s`: until the deadline; `lease_left_s`: of the call that is under way.
COLUMNS_SQL = f"""{{0}}.id, {{0}}.state, {{0}}.attempt, {{0}}.claim_id, {{0}}.upstream_task_id, {{0}}.polls,
    COALESCE(EXTRACT(EPOCH FROM {{0}}.lease_until - now()), 0)::float8 AS lease_left_s,
    EXTRACT(EPOCH FROM {_DEADLINE_SQL} - now())::float8 AS left_s,
    EXTRACT(EPOCH FROM now() - COALESCE({{0}}.submitted_at, {{0}}.created_at))::float8 AS submitted_s"""


async def is_any_due(database: Database) -> bool:
    """Whether there is anything to look at: most of the time there is not, and then this is all that is asked."""
    return bool((await database.statement(_IS_ANY_DUE))[0].found)


async def claim_without_asking(database: Database, max_age_s: float, lease_s: float, most: int) -> Sequence[Row[Any]]:
    """Take due tasks that cost no poll; due again after `lease_s`. A queued one is next looked at at its deadline."""
    values = {"max_age_s": max_age_s, "lease_s": lease_s, "most": most}
    return await database.statement(_CLAIM_WITHOUT_ASKING, values)


async def put_off_young(database: Database, first_looks_s: dict[str, float], max_age_s: float, most: int) -> None:
    """Leave tasks of slow models alone until it is likely that they ended, unless they were spoken of already."""
    if first_looks_s:
        models, looks_s = list(first_looks_s), list(first_looks_s.values())
        values = {"models": models, "looks_s": looks_s, "max_age_s": max_age_s, "most": most}
        await database.statement(_PUT_OFF_YOUNG, values)


async def postpone(database: Database, task_id: UUID, next_look_s: float) -> None:
    """Look at the task again after so long, if it has not ended."""
    await database.statement(_POSTPONE, {"id": task_id, "next_s": next_look_s})


async def note_missing(database: Database, task_id: UUID, next_look_s: float) -> float | None:
    """Note that the image API denies the task; for how many seconds it has. None when the task has ended."""
    rows = await database.statement(_MISSING, {"id": task_id, "next_s": next_look_s})
    return rows[0].missing_s if rows else None


async def ask_once_more(database: Database, task_id: UUID) -> None:
    """Ask about a task that the gateway itself ended: the image API may have a late result for it."""
    await database.statement(_ASK_ONCE_MORE, {"id": task_id})


_IS_ANY_DUE = text("SELECT EXISTS (SELECT FROM tasks WHERE poll_at <= now()) AS found")
_CLAIM_WITHOUT_ASKING = text(
    f"""
    WITH due AS MATERIALIZED (
        SELECT d.id FROM tasks d WHERE d.poll_at <= now() AND {NEEDS_NO_ASKING_SQL.format("d")}
        ORDER BY d.poll_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE tasks t SET poll_at = CASE
        WHEN t.state = 'queued' AND {_DEADLINE_SQL.format("t")} > now() THEN {_DEADLINE_SQL.format("t")}
        ELSE now() + make_interval(secs => :lease_s) END
    FROM due WHERE t.id = due.id
    RETURNING {COLUMNS_SQL.format("t")}
    """
)
# A report on file, whatever it says, means that the upstream spoke or somebody did in its name: that is never put off.
_PUT_OFF_YOUNG = text(
    f"""
    WITH young AS MATERIALIZED (
        SELECT d.id, d.submitted_at + make_interval(secs => e.look_s) AS look_at
        FROM tasks d JOIN unnest(CAST(:models AS text[]), CAST(:looks_s AS float8[])) AS e (model_id, look_s)
            ON e.model_id = d.model_id
        WHERE d.poll_at <= now() AND d.state = 'processing' AND d.polls = 0
            AND d.submitted_at + make_interval(secs => e.look_s) > now()
            AND NOT EXISTS (SELECT FROM reports r WHERE r.task_id = d.id)
        LIMIT :most FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE tasks t SET poll_at = LEAST(y.look_at, {_DEADLINE_SQL.format("t")}) FROM young y WHERE t.id = y.id
    """
)
_POSTPONE = text(
    "UPDATE tasks SET poll_at = now() + make_interval(secs => :next_s) WHERE id = :id AND poll_at IS NOT NULL"
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
_MISSING = text(
    """
    UPDATE tasks SET missing_since = COALESCE(missing_since, now()), poll_at = now() + make_interval(secs => :next_s)
    WHERE id = :id AND poll_at IS NOT NULL
    RETURNING EXTRACT(EPOCH FROM now() - missing_since)::float8 AS missing_s
    """
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
_ASK_ONCE_MORE = text(
    """
    UPDATE tasks SET poll_at = now()
    WHERE id = :id AND state IN ('failed', 'canceled') AND reported_at IS NULL AND upstream_task_id IS NOT NULL
    """
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
