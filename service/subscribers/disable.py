"""Stops sending to a subscriber that is gone or has failed for days, and tells the client's other subscriptions."""

from uuid import UUID

import structlog
from sqlalchemy import text

from service.db.engine import Database
from service.db.ids import new_id
from service.subscribers.fan_out import FAN_OUT_SQL
from service.subscribers.outcomes import DisableReason
from service.subscribers.target_url import host_of

log = structlog.get_logger(__name__)

# As the events of tasks write moments.
_MOMENT = "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


async def disable_subscription(database: Database, subscription_id: UUID, reason: DisableReason) -> None:
    """Disable it with the event `subscription.disabled`, once however often it is asked; commits.

    Its waiting deliveries end as dead, from where they can be recovered. Two statements in one transaction, so that the
    second does not notify the subscription that the first has disabled.
    """
    async with database.transaction() as connection:
        rows = await connection.execute(_DISABLE, {"id": subscription_id, "reason": reason})
        disabled = rows.one_or_none()
        if disabled is None:
            return
        host = host_of(disabled.url)
        values = {"event_id": new_id(), "id": subscription_id, "host": host, "reason": reason}
        await connection.execute(_TELL, values)
    log.warning("subscription_disabled", subscription_id=str(subscription_id), host=host, reason=reason)


_DISABLE = text("""
    UPDATE subscriptions SET state = 'disabled', disabled_reason = :reason, updated_at = now()
    WHERE id = :id AND state <> 'disabled' AND (CAST(:reason AS text) = 'gone' OR failing_since IS NOT NULL)
    RETURNING url
""")

_TELL = text(f"""
    WITH event AS (
        INSERT INTO events (id, client, type, body)
        SELECT :event_id, s.client, 'subscription.disabled', json_build_object(
            'type', 'subscription.disabled', 'timestamp', {_MOMENT.format("now()")}, 'data', json_build_object(
                'subscription_id', s.id, 'url_host', CAST(:host AS text), 'reason', CAST(:reason AS text),
                'failing_since', {_MOMENT.format("s.failing_since")}
            )
        )::text
        FROM subscriptions s WHERE s.id = :id
        RETURNING id, client, type, CAST(NULL AS uuid) AS callback_subscription_id, CAST(NULL AS text) AS model_id,
            CAST(NULL AS text) AS client_reference, CAST(NULL AS jsonb) AS metadata
    ), fan_out AS ({FAN_OUT_SQL})
    SELECT
""")
