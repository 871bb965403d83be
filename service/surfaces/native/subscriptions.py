"""/api/v1/subscriptions: where a client's events go. Create, list, get, delete."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from service.db.ids import new_id
from service.errors import NotFound
from service.subscribers.event_types import TERMINAL_EVENT_TYPES
from service.subscribers.signature import new_signing_secret
from service.subscribers.store import (
    NewSubscription,
    create_subscription,
    delete_subscription,
    get_subscription,
    list_subscriptions,
)
from service.subscribers.store import Subscription as StoredSubscription
from service.surfaces.native import examples
from service.surfaces.native.cursor import read_cursor, write_cursor
from service.surfaces.native.shapes import Nothing, PageParameters
from service.surfaces.native.subscription_shapes import (
    CreatedSubscription,
    Subscription,
    SubscriptionFields,
    SubscriptionItems,
)
from service.web.auth import SECURITY, Client
from service.web.body import read_json_object, shaped
from service.web.context import GatewayParts
from service.web.openapi import json_answer, json_body, problem_answers

router = APIRouter(prefix="/api/v1", tags=["subscriptions"], dependencies=[*SECURITY])

SubscriptionId = Annotated[str, Path(description="The subscription's id.", json_schema_extra={"format": "uuid"})]

_REMEDIES = {
    "callback_url": "is not a field here; did you mean `url`?",
    "events": "is not a field here; did you mean `event_types`?",
    "secret": "is made by the gateway and shown once in the answer; leave it out",
}
_NO_STORE = {"Cache-Control": "no-store"}


@router.post(
    "/subscriptions",
    status_code=201,
    summary="Be notified",
    operation_id="createSubscription",
    response_model=CreatedSubscription,
    responses={
        201: json_answer(
            "Events go there from now on.", examples.CREATED_SUBSCRIPTION, {"Location": "Where to get it."}
        ),
        **problem_answers(400, 401, 413, 415, 422, 503),
    },
    openapi_extra={
        "requestBody": {"required": True, "content": json_body(SubscriptionFields, examples.SUBSCRIPTION_REQUESTS)}
    },
)
async def create(request: Request, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Have the events of all your tasks sent to an address, signed per Standard Webhooks. The secret is shown once."""
    values = await read_json_object(request, gateway.resources.settings.request_max_json_bytes)
    fields = shaped(SubscriptionFields, values, _REMEDIES)
    url = gateway.guard.check_url(fields.url, "url")
    await gateway.guard.check_lookup(url, "url")
    event_types = tuple(dict.fromkeys(fields.event_types or TERMINAL_EVENT_TYPES))
    new = NewSubscription(new_id(), client, url, event_types, new_signing_secret(), fields.description)
    async with gateway.resources.db.transaction() as connection:
        made = await create_subscription(connection, new)
    headers = {"Location": f"/api/v1/subscriptions/{made.id}", **_NO_STORE}
    return _json({**_shown(made), "secret": new.secret}, headers, status=201)


@router.get(
    "/subscriptions",
    summary="List subscriptions",
    operation_id="listSubscriptions",
    response_model=SubscriptionItems,
    responses={
        200: json_answer("A page of subscriptions.", {"items": [examples.SUBSCRIPTION], "next_cursor": None}),
        **problem_answers(400, 401, 422, 503),
    },
)
async def read_all(gateway: GatewayParts, client: Client, wanted: Annotated[PageParameters, Query()]) -> Response:
    """Yours, newest first, a page at a time, those that a request's `callback_url` made among them."""
    before = read_cursor(wanted.cursor)
    async with gateway.resources.db.reading() as connection:
        found = await list_subscriptions(connection, client, before=before, limit=wanted.limit + 1)
    page, has_more = found[: wanted.limit], len(found) > wanted.limit
    cursor = write_cursor(page[-1].id) if has_more else None
    return _json({"items": [_shown(each) for each in page], "next_cursor": cursor}, _NO_STORE)


@router.get(
    "/subscriptions/{subscription_id}",
    summary="Get a subscription",
    operation_id="getSubscription",
    response_model=Subscription,
    responses={
        200: json_answer("The subscription, without its secret.", examples.SUBSCRIPTION),
        **problem_answers(400, 401, 404, 503),
    },
)
async def read_one(subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Where its events go, which, and whether it is still active."""
    async with gateway.resources.db.reading() as connection:
        found = await get_subscription(connection, client, _uuid(subscription_id))
    if found is None:
        raise NotFound("There is no such subscription.")
    return _json(_shown(found), _NO_STORE)


@router.delete(
    "/subscriptions/{subscription_id}",
    status_code=204,
    summary="Stop being notified",
    operation_id="deleteSubscription",
    response_model=None,
    responses={204: {"description": "It is gone."}, **problem_answers(400, 401, 404, 503)},
)
async def delete(subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Delete it with its undone deliveries; one that is being sent at this moment may still arrive."""
    async with gateway.resources.db.transaction() as connection:
        gone = await delete_subscription(connection, client, _uuid(subscription_id))
    if not gone:
        raise NotFound("There is no such subscription.")
    return Response(status_code=204)


def _shown(subscription: StoredSubscription) -> dict[str, object]:
    return {
        "id": subscription.id,
        "url": subscription.url,
        "event_types": subscription.event_types,
        "state": subscription.state,
        "inline": subscription.inline,
        "description": subscription.description,
        "created_at": subscription.created_at,
    }


def _json(content: object, headers: dict[str, str], *, status: int = 200) -> Response:
    # asyncpg gives ids of a UUID class of its own, which orjson leaves to `default`.
    body = orjson.dumps(content, default=str, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, media_type="application/json")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as exc:
        raise NotFound("There is no such subscription.") from exc
