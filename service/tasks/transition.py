"""The one statement that a report runs: lock, decide, move, keep the evidence, tell, fan out."""

from functools import lru_cache

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.subscribers.fan_out import FAN_OUT_SQL, WANTS_UPSTREAM_FORM_SQL
from service.tasks.ledger import cost_sql, entry_sql
from service.tasks.state import FINAL, EventType, Report, State, moves_for
from service.tasks.store import moment_sql, task_json
from service.upstream.task_form import upstream_task_json


@lru_cache
def transition(report: Report) -> TextClause:
    """The statement that applies such a report to one task, whatever state it is in; one plan per kind of report.

    Binds: see `advance._values`. Gives one row: id (null for an orphan), state, version, JSON form, event,
    and whether the report was foreign or about an older attempt.
    """
    sql = _SQL.format(
        moves=_table(report),
        final=_listed(FINAL),
        cost=cost_sql(report),
        entry=entry_sql(report),
        fan_out=FAN_OUT_SQL,
        now=moment_sql("now()"),
        data=task_json("n"),
        wants_upstream_form=WANTS_UPSTREAM_FORM_SQL.format("n"),
        upstream_form=upstream_task_json("n"),
    )
    return text(sql).bindparams(
        bindparam("id", type_=pg.UUID(as_uuid=True)),
        bindparam("claim_id", type_=pg.UUID(as_uuid=True)),
        bindparam("images", type_=pg.JSONB(none_as_null=True)),
        bindparam("image_sources", type_=pg.JSONB(none_as_null=True)),
    )


def _table(report: Report) -> str:
    """The moves of this report as VALUES rows: state, reported, current, to_state, event."""
    lines = [
        f"('{at.state}', {at.reported}, {at.current}, '{move.state}', {_literal(move.event)})"
        for at, move in moves_for(report)
    ]
    return ", ".join(lines or ["(NULL::text, NULL::bool, NULL::bool, NULL::text, NULL::text)"])


def _literal(event: EventType | None) -> str:
    return f"'{event}'" if event else "NULL::text"


def _listed(states: frozenset[State]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


# Read it from top to bottom: the row as it stands, locked; what the table of moves says to that; the row as it becomes;
# the evidence; what it changes about the cost; the event; its deliveries. `current` and `is_foreign` are the rules
# about attempts and upstream ids.
_SQL = """
WITH moves (state, reported, current, to_state, event) AS (VALUES {moves}),
old AS (
    SELECT t.*,
        t.reported_at IS NOT NULL AS reported,
        (CAST(:attempt AS int) IS NULL OR t.attempt = :attempt)
            AND (:claim_id IS NULL OR t.claim_id = :claim_id) AS current
    FROM tasks t WHERE t.id = :id FOR UPDATE
),
checked AS (
    SELECT old.*, CAST(:upstream_id AS text) IS NOT NULL AND (
        (old.current AND old.upstream_task_id <> :upstream_id) IS TRUE OR EXISTS (
            SELECT FROM tasks o WHERE o.account = old.account AND o.upstream_task_id = :upstream_id AND o.id <> old.id
        )) AS is_foreign
    FROM old
),
verdict AS (
    SELECT c.*, m.to_state, m.event, m.to_state IS NOT NULL AS moved,
        NOT c.is_foreign AND (c.current OR m.to_state IS NOT NULL) AS takes_facts
    FROM checked c LEFT JOIN moves m
        ON (m.state, m.reported, m.current) = (c.state, c.reported, c.current) AND NOT c.is_foreign
),
facts AS (
    SELECT v.id, v.state AS from_state, v.current, v.is_foreign, v.moved, v.to_state, v.event,
        COALESCE(v.to_state, v.state) AS new_state, v.credits AS cost_before,
        CASE WHEN v.takes_facts THEN COALESCE(v.upstream_task_id, :upstream_id) ELSE v.upstream_task_id END AS upstream,
        CASE WHEN v.takes_facts THEN COALESCE(v.estimated_credits, CAST(:estimated_credits AS numeric))
            ELSE v.estimated_credits END AS estimate,
        CASE WHEN v.takes_facts AND (v.moved OR v.state NOT IN ({final}))
            THEN GREATEST(v.progress, CAST(:progress AS smallint)) ELSE v.progress END AS progress,
        (v.upstream_task_id, v.estimated_credits, v.progress) AS known
    FROM verdict v
),
change AS (
    SELECT f.*, {cost} AS cost,
        f.moved OR (f.upstream, f.estimate, f.progress) IS DISTINCT FROM f.known AS changed
    FROM facts f
),
new AS (
    UPDATE tasks t SET
        state = f.new_state,
        version = t.version + f.changed::int,
        updated_at = CASE WHEN f.changed THEN now() ELSE t.updated_at END,
        upstream_task_id = f.upstream,
        estimated_credits = f.estimate,
        progress = f.progress,
        credits = f.cost,
        images = CASE WHEN f.moved THEN COALESCE(:images, t.images) ELSE t.images END,
        image_sources = CASE WHEN f.moved THEN COALESCE(:image_sources, t.image_sources) ELSE t.image_sources END,
        error_code = CASE WHEN f.moved AND f.new_state = 'failed'
            THEN COALESCE(t.error_code, CAST(:error_code AS text)) ELSE t.error_code END,
        error_message = CASE WHEN f.moved AND f.new_state = 'failed'
            THEN COALESCE(t.error_message, CAST(:error_message AS text)) ELSE t.error_message END,
        ended_at = CASE WHEN f.moved AND f.new_state IN ({final}) THEN COALESCE(t.ended_at, now()) ELSE t.ended_at END,
        reported_at = CASE WHEN f.moved AND :terminal THEN now() ELSE t.reported_at END,
        lease_until = CASE WHEN f.moved THEN NULL ELSE t.lease_until END,
        missing_since = CASE WHEN :seen THEN NULL ELSE t.missing_since END,
        slot_until = CASE WHEN f.moved AND :settled THEN NULL ELSE t.slot_until END,
        poll_at = CASE
            WHEN f.new_state IN ({final}) THEN NULL
            WHEN f.is_foreign THEN now()
            ELSE LEAST(
                CASE
                    WHEN CAST(:next_look_s AS float8) IS NOT NULL THEN now() + make_interval(secs => :next_look_s)
                    WHEN f.moved THEN now() + make_interval(secs => :first_look_s)
                    ELSE t.poll_at END,
                CASE WHEN t.deadline_at > now() THEN t.deadline_at END)
            END
    FROM change f WHERE t.id = f.id
    RETURNING t.*, f.from_state, f.current, f.is_foreign, f.moved, f.to_state, f.event, f.cost_before
),
evidence AS (
    INSERT INTO reports (id, task_id, attempt, source, body, outcome)
    SELECT :report_id, :id, COALESCE(CAST(:attempt AS int), n.attempt, 0), :source, :body,
        CASE WHEN n.id IS NULL THEN 'orphan' WHEN n.is_foreign THEN 'foreign' WHEN n.moved THEN 'moved'
            ELSE 'no_move' END
    FROM (SELECT) AS one LEFT JOIN new n ON true WHERE CAST(:source AS text) IS NOT NULL
),
entry AS ({entry}
),
kept_event AS (
    INSERT INTO events (id, client, type, task_id, body, upstream_body)
    SELECT :event_id, n.client, n.event, n.id,
        json_build_object('type', n.event, 'timestamp', {now}, 'data', {data})::text,
        CASE WHEN n.state IN ({final}) AND {wants_upstream_form} THEN {upstream_form}::text END
    FROM new n WHERE n.event IS NOT NULL
    RETURNING id, client, type, task_id
),
event AS (
    SELECT e.id, e.client, e.type, n.callback_subscription_id, n.model_id, n.client_reference, n.metadata
    FROM kept_event e JOIN new n ON n.id = e.task_id
),
delivery AS ({fan_out})
SELECT n.id, n.state, n.version, {data}::text AS body, n.event, n.to_state, n.is_foreign,
    NOT n.current AND n.moved AS stale
FROM (SELECT) AS one LEFT JOIN new n ON true
"""
