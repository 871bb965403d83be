"""GET /api/v1/subscriptions/{id}/stats: how a subscription fares. Thin: the work is in service/subscribers/stats."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.errors import FieldError, InvalidRequest
from service.settings import Settings
from service.subscribers.stats import SAMPLED_DELIVERIES, subscription_stats
from service.surfaces.native import history_examples as examples
from service.surfaces.native.shapes import Moment, NoParameters
from service.surfaces.native.subscription_response import SubscriptionId, json_response, read_subscription_id
from service.web.auth import SECURITY, Client
from service.web.context import GatewayParts
from service.web.openapi import json_answer, problem_answers

DEFAULT_SPAN = timedelta(hours=24)

router = APIRouter(prefix="/api/v1", tags=["subscriptions"], dependencies=[*SECURITY])


class StatsParameters(NoParameters):
    """From when on."""

    since: Moment | None = Field(
        default=None, description="Count deliveries made since; a day ago by default, with an offset."
    )


class Sample(BaseModel):
    """The attempts of the newest deliveries that have ended."""

    deliveries: int = Field(description=f"How many deliveries were looked at; {SAMPLED_DELIVERIES} at most.")
    attempts: int
    failures: dict[str, int] = Field(description="Failed attempts by error class, such as `timeout` or `http`.")
    duration_ms_p50: int | None = Field(description="Half of the attempts took no longer; null without attempts.")
    duration_ms_p95: int | None


class Stats(BaseModel):
    """What is undone now, and what became of the deliveries that were made since a time."""

    since: datetime
    pending: int = Field(description="Deliveries that are undone now, whenever they were made.")
    oldest_pending_at: datetime | None = Field(description="When the oldest of them was made.")
    delivered: int
    dead: int
    attempts: int = Field(description="All attempts of those that were delivered or are dead.")
    sample: Sample


@router.get(
    "/subscriptions/{subscription_id}/stats",
    summary="See how a subscription fares",
    operation_id="getSubscriptionStats",
    response_model=Stats,
    responses={
        200: json_answer("The figures.", examples.STATS),
        **problem_answers(400, 401, 404, 422, 503),
    },
)
async def read_stats(
    subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, wanted: Annotated[StatsParameters, Query()]
) -> Response:
    """What waits, what arrived and what did not; how long attempts took and why they failed, from a bounded sample."""
    since = _since(wanted.since, gateway.resources.settings)
    stats = await subscription_stats(gateway.resources.db, client, read_subscription_id(subscription_id), since)
    return json_response({"since": since, **asdict(stats)})


def _since(asked: datetime | None, settings: Settings) -> datetime:
    now, kept_days = datetime.now(UTC), min(settings.event_keep_days, settings.attempt_keep_days)
    if asked is None:
        return now - DEFAULT_SPAN
    if asked < now - timedelta(days=kept_days):
        raise InvalidRequest(
            FieldError("since", f"must lie within the last {kept_days} days, for which history is kept")
        )
    return asked.astimezone(UTC)
