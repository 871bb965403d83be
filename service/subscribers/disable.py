"""Stops sending to a subscriber that is gone or has failed for days, and tells the client's other subscriptions."""

from collections.abc import Mapping
from uuid import UUID

import structlog
from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database
from service.db.ids import new_id
from service.subscribers.claims import Claim
from service.subscribers.fan_out import FAN_OUT_SQL
from service.subscribers.target_url import host_of

log = structlog.get_logger(__name__)

# As the events of tasks write moments.
_MOMENT = "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


async def disable_gone(database: Database, claim: Claim) -> None:
    """Disable the subscription that answered this claim with 410; commits.

    Call it before that outcome is stored: if the process dies in between, the delivery comes again, finds a disabled
    subscription and is dead. A claim that another process has taken over disables nothing.
    """
    await _disable(database, claim.subscription_id, {"reason": "gone", "id": claim.id, "claim_id": claim.claim_id})


async def disable_failing(database: Database, subscription_id: UUID) -> None:
    """Disable a subscription that nothing reached for days; commits. What fails after that asks for it again."""
    await _disable(database, subscription_id, {"reason": "failing", "id": None, "claim_id": None})


async def _disable(database: Database, subscription_id: UUID, why: Mapping[str, object]) -> None:
    """Once however often it is asked, with the event `subscription.disabled`; what waits ends as dead.

    Two statements in one transaction, so that the second does not notify the subscription that the first has disabled.
    """
    values = {**why, "subscription_id": subscription_id}
    async with database.transaction() as connection:
        rows = await connection.execute(_DISABLE, values)
        disabled = rows.one_or_none()
        if disabled is None:
            return
        host = host_of(disabled.url)
        await connection.execute(_TELL, {**values, "event_id": new_id(), "host": host})
    log.warning("subscription_disabled", subscription_id=str(subscription_id), host=host, reason=why["reason"])


_DISABLE = text("""
    UPDATE subscriptions SET state = 'disabled', disabled_reason = :reason, updated_at = now()
    WHERE id = :subscription_id AND state <> 'disabled' AND CASE CAST(:reason AS text)
        WHEN 'gone' THEN EXISTS (SELECT FROM deliveries WHERE id = :id AND claim_id = :claim_id)
        ELSE failing_since IS NOT NULL
    END
    RETURNING url
""").bindparams(*(bindparam(name, type_=pg.UUID(as_uuid=True)) for name in ("id", "claim_id")))

_TELL = text(f"""
    WITH event AS (
        INSERT INTO events (id, client, type, body)
        SELECT :event_id, s.client, 'subscription.disabled', json_build_object(
            'type', 'subscription.disabled', 'timestamp', {_MOMENT.format("now()")}, 'data', json_build_object(
                'subscription_id', s.id, 'url_host', CAST(:host AS text), 'reason', CAST(:reason AS text),
                'failing_since', {_MOMENT.format("s.failing_since")}
            )
        )::text
        FROM subscriptions s WHERE s.id = :subscription_id
        RETURNING id, client, type, CAST(NULL AS uuid) AS callback_subscription_id, CAST(NULL AS text) AS model_id,
            CAST(NULL AS text) AS client_reference, CAST(NULL AS jsonb) AS metadata
    ), fan_out AS ({FAN_OUT_SQL})
    SELECT
""")
