"""Events and deliveries of a client as they lie in the database some time after, made without waiting for any."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from service.db.ids import new_id
from tests.support.database import Database
from tests.support.waiting import eventually

DELIVERIES = "/api/v1/deliveries"
EVENTS = "/api/v1/events"

_EVENTS = """
INSERT INTO events (id, client, type, task_id, body)
SELECT id, $2, $3, $4,
    json_build_object('type', $3::text, 'timestamp', '2026-11-22T09:30:00Z', 'data', '{}'::json)::text
FROM unnest($1::uuid[]) AS id
"""
_RESULTS = """
INSERT INTO delivery_results (id, client, event_id, subscription_id, state, attempts)
SELECT gateway_uuid7(now()), $2, event_id, $3, $4, 1 FROM unnest($1::uuid[]) AS event_id RETURNING id
"""
_WAITING = """
INSERT INTO deliveries (id, client, event_id, subscription_id, due_at)
SELECT gateway_uuid7(now()), $2, event_id, $3, now() + interval '1 hour' FROM unnest($1::uuid[]) AS event_id
RETURNING id
"""


def happened(
    database: Database,
    count: int = 1,
    *,
    client: str = "alpha",
    kind: str = "task.succeeded",
    task_id: UUID | str | None = None,
) -> list[UUID]:
    """Events that nobody was told of, the oldest first."""
    ids = sorted(new_id() for _ in range(count))
    database.execute(_EVENTS, ids, client, kind, task_id)
    until_shown(database)
    return ids


def until_shown(database: Database) -> None:
    """Return when the feed shows every event: tests beside this one have transactions on the same server."""
    settled = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > (SELECT max(written_by) FROM events)"
    eventually(lambda: database.value(settled), what="older transactions have ended")


def over(
    database: Database, events: Sequence[UUID], to: dict[str, Any], *, state: str = "delivered", client: str = "alpha"
) -> list[str]:
    """Ended deliveries of these events to this subscription; their ids."""
    return [str(row["id"]) for row in database.rows(_RESULTS, list(events), client, to["id"], state)]


def waiting(database: Database, events: Sequence[UUID], to: dict[str, Any], *, client: str = "alpha") -> list[str]:
    """Deliveries of these events that are due in an hour; their ids."""
    return [str(row["id"]) for row in database.rows(_WAITING, list(events), client, to["id"])]


def ids(client: httpx.Client, **params: Any) -> list[str]:
    """The ids of the deliveries on the first page."""
    answer = client.get(DELIVERIES, params=params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def shown(event_id: UUID) -> str:
    """The event's id as callers see it."""
    return f"evt_{event_id.hex}"


def moment_after() -> str:
    """A moment later than every event until now, and earlier than all that come."""
    now = datetime.now(UTC)
    eventually(lambda: datetime.now(UTC) > now + timedelta(milliseconds=4))
    return (now + timedelta(milliseconds=2)).isoformat()
