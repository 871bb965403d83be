"""/api/v1/deliveries: list, get, attempts, resend. Thin: the work is in service/subscribers/history and resend."""

from dataclasses import asdict, fields
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from service.errors import NotFound
from service.subscribers.history import Attempt as StoredAttempt
from service.subscribers.history import Delivery as StoredDelivery
from service.subscribers.history import DeliveryFilter, get_delivery, list_attempts, list_deliveries
from service.subscribers.resend import resend
from service.subscribers.signature import webhook_id
from service.surfaces.native import history_examples as examples
from service.surfaces.native.cursor import read_cursor, write_cursor
from service.surfaces.native.delivery_shapes import AttemptItems, Delivery, DeliveryItems, DeliveryParameters
from service.surfaces.native.shapes import Nothing
from service.surfaces.native.subscription_response import json_response
from service.web.auth import SECURITY, Client
from service.web.context import GatewayParts
from service.web.openapi import json_answer, problem_answers

router = APIRouter(prefix="/api/v1", tags=["deliveries"], dependencies=[*SECURITY])

DeliveryId = Annotated[str, Path(description="The delivery's id.", json_schema_extra={"format": "uuid"})]


@router.get(
    "/deliveries",
    summary="List deliveries",
    operation_id="listDeliveries",
    response_model=DeliveryItems,
    responses={
        200: json_answer(
            "A page of deliveries.", {"items": [examples.PENDING, examples.DELIVERED], "next_cursor": None}
        ),
        **problem_answers(400, 401, 422, 503),
    },
)
async def read_all(gateway: GatewayParts, client: Client, wanted: Annotated[DeliveryParameters, Query()]) -> Response:
    """What is still to be sent to your subscriptions and what became of the rest, newest first, a page at a time."""
    asked = {each.name: getattr(wanted, each.name) for each in fields(DeliveryFilter)}
    if wanted.event_id is not None:
        asked["event_id"] = UUID(wanted.event_id.removeprefix("evt_"))
    page = await list_deliveries(
        gateway.resources.db, client, DeliveryFilter(**asked), read_cursor(wanted.cursor), wanted.limit
    )
    items = [_shown(each) for each in page.deliveries]
    return json_response({"items": items, "next_cursor": write_cursor(page.next_cursor)})


@router.get(
    "/deliveries/{delivery_id}",
    summary="Get a delivery",
    operation_id="getDelivery",
    response_model=Delivery,
    responses={
        200: json_answer("The delivery as it stands.", examples.DELIVERED),
        **problem_answers(400, 401, 404, 503),
    },
)
async def read_one(delivery_id: DeliveryId, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Where an event stands on its way to a subscription."""
    return json_response(_shown(await get_delivery(gateway.resources.db, client, _read_id(delivery_id))))


@router.get(
    "/deliveries/{delivery_id}/attempts",
    summary="List the attempts of a delivery",
    operation_id="listAttempts",
    response_model=AttemptItems,
    responses={
        200: json_answer("Every attempt that is still kept.", examples.ATTEMPTS),
        **problem_answers(400, 401, 404, 503),
    },
)
async def read_attempts(delivery_id: DeliveryId, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """When it was tried, what the subscriber answered, and why it did not arrive."""
    delivery = await get_delivery(gateway.resources.db, client, _read_id(delivery_id))
    attempts = await list_attempts(gateway.resources.db, delivery)
    return json_response({"items": [_shown_attempt(each) for each in attempts]})


@router.post(
    "/deliveries/{delivery_id}/resend",
    status_code=202,
    summary="Send an event again",
    operation_id="resendDelivery",
    response_model=Delivery,
    responses={
        202: json_answer("The delivery that sends it, due now.", examples.PENDING, {"Location": "Where to get it."}),
        **problem_answers(400, 401, 404, 409, 503),
    },
)
async def send_again(delivery_id: DeliveryId, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Send the event of this delivery to its subscription again, under the same `webhook-id`: a new delivery, due now.

    While one of that event is still undone there is no second one: what waits becomes due now, what is being sent goes
    on, and the answer shows it. A paused subscription, or one that rests after failures, gets it when it goes on. It is
    a 409 for a subscription that was deleted (`subscription_gone`) or is disabled (`subscription_disabled`: make it
    active first), and when the event is not kept any more (`event_gone`).
    """
    delivery = await resend(gateway.resources, client, _read_id(delivery_id))
    return json_response(_shown(delivery), status=202, headers={"Location": f"/api/v1/deliveries/{delivery.id}"})


def _shown(delivery: StoredDelivery) -> dict[str, object]:
    return {**asdict(delivery), "event_id": webhook_id(delivery.event_id)}


def _shown_attempt(attempt: StoredAttempt) -> dict[str, object]:
    answer = None if attempt.answer is None else attempt.answer.decode(errors="replace")
    return {**asdict(attempt), "answer": answer}


def _read_id(text: str) -> UUID:
    """The id in the path; what is no id names no delivery."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise NotFound("There is no such delivery.") from exc
