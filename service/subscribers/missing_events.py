"""SQL for a recovery: of a subscription's events within a time, those that it has not got and is not about to get."""

from sqlalchemy import BindParameter, bindparam
from sqlalchemy.dialects import postgresql as pg

from service.subscribers.fan_out import WANTS_SQL

MISSING_CTES = f"""
looked AS MATERIALIZED (
    SELECT e.id, e.written_by, e.type, e.task_id FROM events e
    WHERE e.client = :client AND (e.written_by, e.id) > (:reached_by, :reached) AND e.id BETWEEN :first AND :last
    ORDER BY e.written_by, e.id LIMIT CAST(:most AS bigint)
), undone AS MATERIALIZED (
    SELECT event_id FROM deliveries WHERE subscription_id = :subscription_id AND claim_id IS NULL
    UNION ALL SELECT event_id FROM deliveries WHERE subscription_id = :subscription_id AND claim_id IS NOT NULL
), missing AS MATERIALIZED (
    SELECT e.id, e.written_by FROM (
        SELECT l.id, l.written_by, l.type, t.* FROM looked l LEFT JOIN LATERAL (
            SELECT callback_subscription_id, model_id, client_reference, metadata FROM tasks
            WHERE id = l.task_id LIMIT 1
        ) t ON true
    ) e JOIN subscriptions s ON s.id = :subscription_id
    WHERE (NOT s.inline OR e.callback_subscription_id = s.id) AND {WANTS_SQL}
        AND NOT EXISTS (SELECT FROM undone u WHERE u.event_id = e.id)
        AND (NOT CAST(:only_failed AS bool) OR (
            SELECT r.id FROM delivery_results r WHERE r.event_id = e.id AND r.subscription_id = :subscription_id
                AND r.state = 'delivered' AND r.id >= :first LIMIT 1
        ) IS NULL)
)
"""
"""CTEs: `looked` has the next of the client's events in the order in which they were written, `missing` those to send.

Binds: client, subscription_id, only_failed, first and last (ids), reached_by and reached (the place to go on from) and
most (None: all). Tasks and results are looked up one by one (LIMIT 1): joined, they might be read whole.
"""


def missing_binds() -> tuple[BindParameter[object], ...]:
    """The types of the ids among those binds."""
    names = ("subscription_id", "first", "last", "reached")
    return tuple(bindparam(name, type_=pg.UUID(as_uuid=True)) for name in names)
