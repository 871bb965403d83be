"""The native REST API under /api/v1: `router` has all of it, `DESCRIPTION` introduces it in the OpenAPI document."""

from fastapi import APIRouter

from service.surfaces.native import (
    deliveries,
    event_feed,
    images,
    models,
    quotes,
    recoveries,
    subscription_actions,
    subscription_stats,
    subscriptions,
    task_cancel,
    task_events,
    task_resubmit,
    tasks,
)

__all__ = ["DESCRIPTION", "router"]

DESCRIPTION = """
Buy generated images without paying twice or losing one.

Ask which models there are and what a request costs, send it, then wait for the task or be notified. Every request needs
an API key, as `Authorization: Bearer <key>` or `X-Api-Key: <key>`. Every answer carries `X-Request-Id` and
`Server-Timing`. Every error is a problem (RFC 9457) whose `code` never changes.
"""

router = APIRouter()
for part in (
    models,
    quotes,
    tasks,
    task_events,
    task_cancel,
    task_resubmit,
    images,
    subscriptions,
    subscription_actions,
    subscription_stats,
    recoveries,
    deliveries,
    event_feed,
):
    router.include_router(part.router)
