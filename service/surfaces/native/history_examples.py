"""Examples about deliveries, recoveries and the feed in the OpenAPI document; the tests hold them to their schemas."""

from typing import Any

from service.surfaces.native.examples import FINISHED_TASK, TASK_ID
from service.surfaces.native.subscription_examples import SUBSCRIPTION_ID

EVENT_ID = "evt_01a0bd299d4c7f6e8a1b2c3d4e5f6a7b"

DELIVERED: dict[str, Any] = {
    "id": "01a0bd29-9d4e-7b1c-9d2e-3f4a5b6c7d8e",
    "subscription_id": SUBSCRIPTION_ID,
    "event_id": EVENT_ID,
    "event_type": "task.succeeded",
    "task_id": TASK_ID,
    "state": "delivered",
    "attempts": 2,
    "next_attempt_at": None,
    "created_at": "2026-11-22T09:30:31.700000Z",
    "ended_at": "2026-11-22T09:30:33.102000Z",
}
PENDING: dict[str, Any] = {
    **DELIVERED,
    "id": "01a0bd2c-0b7a-7c55-8f10-a1b2c3d4e5f6",
    "state": "pending",
    "attempts": 0,
    "next_attempt_at": "2026-11-22T09:33:20.250000Z",
    "created_at": "2026-11-22T09:33:20.250000Z",
    "ended_at": None,
}
ATTEMPTS: dict[str, Any] = {
    "items": [
        {
            "number": 1,
            "started_at": "2026-11-22T09:30:31.709000Z",
            "duration_ms": 212,
            "status": 503,
            "error_class": "http",
            "error": None,
            "answer": "come back in a minute",
        },
        {
            "number": 2,
            "started_at": "2026-11-22T09:30:33.050000Z",
            "duration_ms": 48,
            "status": 204,
            "error_class": None,
            "error": None,
            "answer": "",
        },
    ]
}

RECOVER_REQUESTS: dict[str, Any] = {
    "only count": {"value": {"since": "2026-11-22T08:00:00Z", "dry_run": True}},
    "what did not arrive since eight": {"value": {"since": "2026-11-22T08:00:00Z"}},
}
RECOVERY: dict[str, Any] = {
    "id": "01a0bd2d-52f0-7d3a-b6c1-0d1e2f3a4b5c",
    "subscription_id": SUBSCRIPTION_ID,
    "state": "running",
    "since": "2026-11-22T08:00:00Z",
    "until": "2026-11-22T09:35:00.125000Z",
    "only_failed": True,
    "events_total": 4200,
    "events_looked_at": 1000,
    "deliveries_made": 370,
    "estimated_end_at": "2026-11-22T09:35:08.525000Z",
    "created_at": "2026-11-22T09:35:00.125000Z",
    "ended_at": None,
}
NEW_RECOVERY: dict[str, Any] = {**RECOVERY, "events_looked_at": 0, "deliveries_made": 0, "estimated_end_at": None}
CANCELED_RECOVERY: dict[str, Any] = {
    **RECOVERY,
    "state": "canceled",
    "estimated_end_at": None,
    "ended_at": "2026-11-22T09:35:02.250000Z",
}
PREVIEW: dict[str, Any] = {
    "dry_run": True,
    "since": "2026-11-22T08:00:00Z",
    "until": "2026-11-22T09:35:00.125000Z",
    "only_failed": True,
    "events_total": 4200,
    "deliveries": 1340,
}

STATS: dict[str, Any] = {
    "since": "2026-11-21T09:40:00Z",
    "pending": 3,
    "oldest_pending_at": "2026-11-22T09:39:58.250000Z",
    "delivered": 8123,
    "dead": 2,
    "attempts": 8210,
    "sample": {
        "deliveries": 1000,
        "attempts": 1017,
        "failures": {"http": 14, "timeout": 3},
        "duration_ms_p50": 41,
        "duration_ms_p95": 260,
    },
}

FEED: dict[str, Any] = {
    "items": [
        {
            "id": EVENT_ID,
            "type": "task.succeeded",
            "timestamp": FINISHED_TASK["ended_at"],
            "data": FINISHED_TASK,
        }
    ],
    "next_cursor": "AAAAAAAAA-gBoL0pnUx_boobLD1OX2p7AaC4AzlMAAAAAAAAAAAAAA",
}
