"""POST /api/v1/subscriptions/{id}/rotate-secret and /test. Thin: the work is in service/subscribers/rotate and ping."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.subscribers.encryption import Encryption
from service.subscribers.rotate import Rotation, rotate_secret
from service.surfaces.native import subscription_answers as answers
from service.surfaces.native.shapes import Nothing
from service.surfaces.native.subscription_response import SubscriptionId, json_response, read_subscription_id, shown
from service.surfaces.native.subscription_shapes import Ping, RotationFields, SubscriptionWithSecret
from service.web.auth import SECURITY, Client
from service.web.body import read_json_object, shaped
from service.web.context import GatewayParts

router = APIRouter(prefix="/api/v1", tags=["subscriptions"], dependencies=[*SECURITY])


@router.post(
    "/subscriptions/{subscription_id}/rotate-secret",
    summary="Get a new signing secret",
    operation_id="rotateSecret",
    response_model=SubscriptionWithSecret,
    responses=answers.ROTATED,
    openapi_extra={"requestBody": answers.ROTATION_BODY},
)
async def rotate(
    request: Request, subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, _: Nothing
) -> Response:
    """A new secret, shown this once. The old one signs beside it for `grace_s`: give receivers the new one meanwhile.

    Every notification then carries two signatures, and receivers take it if either fits. Two is the most: while they
    sign, another rotation has to say in `keep` which of them goes on, else it is a 409 `rotation_under_way`.
    """
    settings = gateway.resources.settings
    fields = shaped(RotationFields, await read_json_object(request, settings.request_max_json_bytes), {})
    wanted = Rotation(client, read_subscription_id(subscription_id), fields.grace_s, fields.keep)
    subscription, secret = await rotate_secret(gateway.resources.db, Encryption.of(settings), wanted)
    return json_response({**shown(subscription), "secret": secret})


@router.post(
    "/subscriptions/{subscription_id}/test",
    summary="Try a subscription out",
    operation_id="testSubscription",
    response_model=Ping,
    responses=answers.PINGED,
)
async def test(subscription_id: SubscriptionId, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Send a signed event `ping` to its address now, and tell what was sent and what came back.

    It works on a paused or disabled subscription too, changes nothing about it, and has the standard form whatever the
    subscription's format. One ping at a time, and a second between two.
    """
    exchange = await gateway.pinger.ping(client, read_subscription_id(subscription_id))
    answer = exchange.answer
    told = {
        "delivered": answer.error_class is None,
        "request": {"url": exchange.url, "headers": exchange.headers, "body": exchange.body},
        "status": answer.status,
        "answer": answer.body.decode(errors="replace"),
        "error_class": answer.error_class,
        "error": answer.error,
        "duration_ms": answer.duration_ms,
    }
    return json_response(told)
