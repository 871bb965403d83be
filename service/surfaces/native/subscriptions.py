"""/api/v1/subscriptions: where a client's events go. Create, list, get, change, delete."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from service.db.ids import new_id
from service.db.listen import DELIVERIES
from service.subscribers.change import change_subscription, lock_subscription
from service.subscribers.encryption import Encryption
from service.subscribers.signature import new_signing_secret
from service.subscribers.store import (
    NewSubscription,
    create_subscription,
    delete_subscription,
    get_subscription,
    list_subscriptions,
    require_room,
)
from service.surfaces.native import subscription_answers as answers
from service.surfaces.native.cursor import read_cursor, write_cursor
from service.surfaces.native.shapes import Nothing
from service.surfaces.native.subscription_request import changed, event_types_of, filter_of, read_changes, read_fields
from service.surfaces.native.subscription_response import (
    SubscriptionId,
    json_response,
    no_such_subscription,
    read_subscription_id,
    shown,
)
from service.surfaces.native.subscription_shapes import (
    Subscription,
    SubscriptionItems,
    SubscriptionParameters,
    SubscriptionWithSecret,
)
from service.web.auth import SECURITY, Client
from service.web.body import read_json_object
from service.web.context import GatewayParts

router = APIRouter(prefix="/api/v1", tags=["subscriptions"], dependencies=[*SECURITY])


@router.post(
    "/subscriptions",
    status_code=201,
    summary="Be notified",
    operation_id="createSubscription",
    response_model=SubscriptionWithSecret,
    responses=answers.CREATED,
    openapi_extra={"requestBody": answers.CREATE_BODY},
)
async def create(request: Request, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Have events sent to an address, signed per Standard Webhooks. The secret is shown once."""
    settings = gateway.resources.settings
    fields = read_fields(await read_json_object(request, settings.request_max_json_bytes), settings)
    subscription_id, secret = new_id(), new_signing_secret()
    new = NewSubscription(
        id=subscription_id,
        client=client,
        url=await gateway.url_check.checked(fields.url, "url"),
        event_types=event_types_of(fields),
        secret=Encryption.of(settings).encrypt(subscription_id, secret),
        description=fields.description,
        filter=filter_of(fields.filter),
        format=fields.format,
        timeout_s=fields.timeout_s,
        max_in_flight=fields.max_in_flight,
        rate_per_s=fields.rate_per_s,
    )
    async with gateway.resources.db.transaction() as connection:
        await require_room(connection, client, settings.subscriptions_max_per_client)
        made = await create_subscription(connection, new)
    headers = {"Location": f"/api/v1/subscriptions/{made.id}"}
    return json_response({**shown(made), "secret": secret}, status=201, headers=headers)


@router.get(
    "/subscriptions",
    summary="List subscriptions",
    operation_id="listSubscriptions",
    response_model=SubscriptionItems,
    responses=answers.LISTED,
)
async def read_all(
    gateway: GatewayParts, client: Client, wanted: Annotated[SubscriptionParameters, Query()]
) -> Response:
    """Yours, newest first, a page at a time, those that a request's `callback_url` made among them."""
    before = read_cursor(wanted.cursor)
    async with gateway.resources.db.reading() as connection:
        found = await list_subscriptions(connection, client, before=before, limit=wanted.limit + 1, state=wanted.state)
    page, has_more = found[: wanted.limit], len(found) > wanted.limit
    cursor = write_cursor(page[-1].id) if has_more else None
    return json_response({"items": [shown(each) for each in page], "next_cursor": cursor})


@router.get(
    "/subscriptions/{subscription_id}",
    summary="Get a subscription",
    operation_id="getSubscription",
    response_model=Subscription,
    responses=answers.FOUND,
)
async def read_one(subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Where its events go, which, whether it is active, and how its address has answered of late."""
    async with gateway.resources.db.reading() as connection:
        found = await get_subscription(connection, client, read_subscription_id(subscription_id))
    if found is None:
        raise no_such_subscription()
    return json_response(shown(found))


@router.patch(
    "/subscriptions/{subscription_id}",
    summary="Change, pause or resume a subscription",
    operation_id="changeSubscription",
    response_model=Subscription,
    responses=answers.CHANGED,
    openapi_extra={"requestBody": answers.CHANGE_BODY},
)
async def change(
    request: Request, subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, _: Nothing
) -> Response:
    """Merge these changes into it (RFC 7396); they hold for what is sent from now on, also for what waits already.

    While it is `paused` its events are kept and wait; `active` sends them, and ends every rest and disabling.
    """
    settings = gateway.resources.settings
    values = await read_json_object(request, settings.request_max_json_bytes)
    wanted = read_changes(values, settings)
    if "url" in values:  # before the transaction, in which no name may be looked up
        values["url"] = await gateway.url_check.checked(wanted.url, "url")
    async with gateway.resources.db.transaction() as connection:
        found = await lock_subscription(connection, client, read_subscription_id(subscription_id))
        if found is None:
            raise no_such_subscription()
        after = await change_subscription(connection, found, changed(found, values))
    gateway.resources.bell.ring(DELIVERIES)
    return json_response(shown(after))


@router.delete(
    "/subscriptions/{subscription_id}",
    status_code=204,
    summary="Stop being notified",
    operation_id="deleteSubscription",
    response_model=None,
    responses=answers.DELETED,
)
async def delete(subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Delete it with its undone deliveries; one that is being sent at this moment may still arrive."""
    async with gateway.resources.db.transaction() as connection:
        gone = await delete_subscription(connection, client, read_subscription_id(subscription_id))
    if not gone:
        raise no_such_subscription()
    return Response(status_code=204)
