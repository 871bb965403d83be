"""/api/v1/subscriptions/{id}/recover and /recoveries. Thin: the work is in service/subscribers/recover."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from service.errors import FieldError, InvalidRequest, NotFound
from service.subscribers.recover import Recovery as StoredRecovery
from service.subscribers.recover import (
    Span,
    cancel_recovery,
    get_recovery,
    list_recoveries,
    preview_recovery,
    start_recovery,
)
from service.surfaces.native import history_examples as examples
from service.surfaces.native.cursor import read_cursor, write_cursor
from service.surfaces.native.recovery_shapes import RecoverFields, Recovery, RecoveryItems, RecoveryPreview
from service.surfaces.native.shapes import Nothing, PageParameters
from service.surfaces.native.subscription_response import SubscriptionId, json_response, read_subscription_id
from service.web.auth import SECURITY, Client
from service.web.body import read_json_object, shaped
from service.web.context import GatewayParts
from service.web.openapi import Responses, json_answer, json_body, problem_answers

router = APIRouter(prefix="/api/v1", tags=["subscriptions"], dependencies=[*SECURITY])

RecoveryId = Annotated[str, Path(description="The recovery's id.", json_schema_extra={"format": "uuid"})]

_BODY: dict[str, Any] = {"required": True, "content": json_body(RecoverFields, examples.RECOVER_REQUESTS)}
_STARTED: Responses = {
    200: json_answer("With `dry_run`: what would be sent.", examples.PREVIEW) | {"model": RecoveryPreview},
    202: json_answer("The recovery has begun.", examples.NEW_RECOVERY, {"Location": "Where to follow it."}),
    **problem_answers(400, 401, 404, 409, 413, 415, 422, 503),
}


@router.post(
    "/subscriptions/{subscription_id}/recover",
    status_code=202,
    summary="Send the events since a time again",
    operation_id="recoverSubscription",
    response_model=Recovery,
    responses=_STARTED,
    openapi_extra={"requestBody": _BODY},
)
async def recover(
    request: Request, subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, _: Nothing
) -> Response:
    """Have the events since a time sent to this subscription: those it never got, or with `only_failed: false` all.

    They must fit the subscription as it is now, and carry the `webhook-id` that they always had; what is still undone
    is not sent twice. The job goes on in the background, at the pace that the operator set and that the subscription
    keeps up with. One at a time: else it is a 409 `recovery_running`. A disabled subscription must be active first.
    """
    values = await read_json_object(request, gateway.resources.settings.request_max_json_bytes)
    fields = shaped(RecoverFields, values, {})
    span, found = _span(fields), read_subscription_id(subscription_id)
    if fields.dry_run:
        preview = await preview_recovery(gateway.resources.db, client, found, span)
        return json_response({"dry_run": True, **asdict(span), **asdict(preview)})
    recovery = await start_recovery(gateway.resources.db, client, found, span)
    location = f"/api/v1/subscriptions/{found}/recoveries/{recovery.id}"
    return json_response(_shown(recovery), status=202, headers={"Location": location})


@router.get(
    "/subscriptions/{subscription_id}/recoveries",
    summary="List recoveries",
    operation_id="listRecoveries",
    response_model=RecoveryItems,
    responses={
        200: json_answer("A page of recoveries.", {"items": [examples.RECOVERY], "next_cursor": None}),
        **problem_answers(400, 401, 404, 422, 503),
    },
)
async def read_all(
    subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, wanted: Annotated[PageParameters, Query()]
) -> Response:
    """The recoveries of a subscription, newest first, a page at a time."""
    found = await list_recoveries(
        gateway.resources.db,
        client,
        read_subscription_id(subscription_id),
        read_cursor(wanted.cursor),
        wanted.limit + 1,
    )
    page, has_more = found[: wanted.limit], len(found) > wanted.limit
    cursor = write_cursor(page[-1].id) if has_more else None
    return json_response({"items": [_shown(each) for each in page], "next_cursor": cursor})


@router.get(
    "/subscriptions/{subscription_id}/recoveries/{recovery_id}",
    summary="Get a recovery",
    operation_id="getRecovery",
    response_model=Recovery,
    responses={
        200: json_answer("The recovery as it stands.", examples.RECOVERY),
        **problem_answers(400, 401, 404, 503),
    },
)
async def read_one(
    subscription_id: SubscriptionId, recovery_id: RecoveryId, gateway: GatewayParts, client: Client, _: Nothing
) -> Response:
    """How far it has come, and when it should end."""
    found = read_subscription_id(subscription_id)
    return json_response(_shown(await get_recovery(gateway.resources.db, client, found, _read_id(recovery_id))))


@router.post(
    "/subscriptions/{subscription_id}/recoveries/{recovery_id}/cancel",
    summary="Cancel a recovery",
    operation_id="cancelRecovery",
    response_model=Recovery,
    responses={
        200: json_answer("It makes no delivery any more.", examples.CANCELED_RECOVERY),
        **problem_answers(400, 401, 404, 409, 503),
    },
)
async def cancel(
    subscription_id: SubscriptionId, recovery_id: RecoveryId, gateway: GatewayParts, client: Client, _: Nothing
) -> Response:
    """Stop it. The deliveries that it has made go out. One that is done is a 409 `recovery_ended`."""
    found = read_subscription_id(subscription_id)
    return json_response(_shown(await cancel_recovery(gateway.resources.db, client, found, _read_id(recovery_id))))


def _span(fields: RecoverFields) -> Span:
    now = datetime.now(UTC)
    until = min(fields.until or now, now)
    if fields.since > until:
        late = "until" if fields.until is not None and fields.since <= now else "since"
        remedy = "must not lie before `since`" if late == "until" else "must not lie in the future"
        raise InvalidRequest(FieldError(late, remedy))
    return Span(fields.since.astimezone(UTC), until.astimezone(UTC), fields.only_failed)


def _shown(recovery: StoredRecovery) -> dict[str, object]:
    shown = {**asdict(recovery), "estimated_end_at": recovery.estimated_end_at}
    del shown["at"]
    return shown


def _read_id(text: str) -> UUID:
    """The id in the path; what is no id names no recovery."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise NotFound("There is no such recovery.") from exc
