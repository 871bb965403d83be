"""Examples about subscriptions in the OpenAPI document; the tests send them, or hold them against their schema."""

from typing import Any

SUBSCRIPTION_ID = "01a0bd29-9b51-7a0e-a3d6-0f1b2c3d4e5f"

SUBSCRIPTION_REQUESTS: dict[str, Any] = {
    "every end of a task": {"value": {"url": "https://10.0.0.7/hooks/images", "description": "the shop's images"}},
    "only what went well": {"value": {"url": "https://10.0.0.7/hooks/images", "event_types": ["task.succeeded"]}},
    "some tasks, and no faster than this": {
        "value": {
            "url": "https://10.0.0.7/hooks/images",
            "filter": {"model_id": ["bytedance-seedream-4.5"], "metadata": {"shelf": "A3"}},
            "timeout_s": 5,
            "max_in_flight": 4,
            "rate_per_s": 20,
        }
    },
    "as the image API would call back": {"value": {"url": "https://10.0.0.7/receive", "format": "upstream"}},
}
SUBSCRIPTION: dict[str, Any] = {
    "id": SUBSCRIPTION_ID,
    "url": "https://10.0.0.7/hooks/images",
    "event_types": ["task.succeeded", "task.failed", "task.canceled", "task.result_late"],
    "filter": None,
    "format": "standard",
    "inline": False,
    "state": "active",
    "disabled_reason": None,
    "description": "the shop's images",
    "timeout_s": None,
    "max_in_flight": None,
    "rate_per_s": None,
    "failures_in_row": 0,
    "failing_since": None,
    "rests_until": None,
    "rotating_until": None,
    "created_at": "2026-11-22T09:29:00.125000Z",
    "updated_at": "2026-11-22T09:29:00.125000Z",
}
CREATED_SUBSCRIPTION: dict[str, Any] = {**SUBSCRIPTION, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}

CHANGE_REQUESTS: dict[str, Any] = {
    "pause": {"value": {"state": "paused"}},
    "resume, also after it was disabled": {"value": {"state": "active"}},
    "another address, every task": {"value": {"url": "https://10.0.0.8/hooks/images", "filter": None}},
}
PAUSED_SUBSCRIPTION: dict[str, Any] = {
    **SUBSCRIPTION,
    "state": "paused",
    "updated_at": "2026-11-22T09:40:00.250000Z",
}

ROTATION_REQUESTS: dict[str, Any] = {
    "a day for the change": {"value": {}},
    "at once, for it has leaked": {"value": {"grace_s": 0}},
    "again, for the last answer was lost": {"value": {"grace_s": 86400, "keep": "previous"}},
}
ROTATED_SUBSCRIPTION: dict[str, Any] = {
    **SUBSCRIPTION,
    "rotating_until": "2026-11-23T09:50:00.500000Z",
    "updated_at": "2026-11-22T09:50:00.500000Z",
    "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
}

PING: dict[str, Any] = {
    "delivered": True,
    "request": {
        "url": "https://10.0.0.7/hooks/images",
        "headers": {
            "User-Agent": "image-gateway",
            "Content-Type": "application/json",
            "webhook-id": "evt_01a0bd2a3c4d7e5f8a9b0c1d2e3f4a5b",
            "webhook-timestamp": "1795339800",
            "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        },
        "body": '{"type":"ping","timestamp":"2026-11-22T09:30:00.125000Z",'
        f'"data":{{"subscription_id":"{SUBSCRIPTION_ID}"}}}}',
    },
    "status": 204,
    "answer": "",
    "error_class": None,
    "error": None,
    "duration_ms": 12,
}
