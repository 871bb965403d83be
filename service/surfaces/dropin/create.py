"""POST /v1i/task/generate-image: the paid call, for clients that send no key and may send it again."""

from contextlib import ExitStack

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.surfaces.dropin import examples
from service.surfaces.dropin.answers import ok
from service.surfaces.dropin.create_docs import REQUEST_BODY
from service.surfaces.dropin.create_request import read_create_request
from service.surfaces.dropin.created import created_response, note_charge
from service.surfaces.dropin.shapes import Created, KeyHeader
from service.tasks.asked import Asked
from service.tasks.idempotency import IdempotencyKey, fingerprint_of
from service.tasks.joined import sent_task
from service.tasks.store import StoredTask
from service.web.auth import SECURITY, Client
from service.web.context import Gateway, GatewayParts
from service.web.disconnect import Answering, answering
from service.web.generate import checked, submitted
from service.web.idempotency import idempotency_key

ROUTE = "POST /v1i/task/generate-image"

router = APIRouter(tags=["drop-in"], dependencies=[*SECURITY])


@router.post(
    "/v1i/task/generate-image",
    summary="Ask for images",
    operation_id="dropInCreate",
    response_model=Created,
    responses=ok(examples.CREATED, 400, 401, 402, 413, 415, 422, 429, 502, 503),
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def create_task(request: Request, gateway: GatewayParts, client: Client, headers: KeyHeader) -> Response:
    """Keep the task and send it to the image API, which charges for it now; or let it wait for its turn.

    The same request from the same key joins the task of an earlier one that was never answered with a 2xx, because its
    client or this process went away. Once answered, the same request makes another image.
    """
    settings = gateway.resources.settings
    with ExitStack() as stack:
        upload = stack.enter_context(gateway.resources.spool.open())
        asked = await read_create_request(request, upload, settings)
        wanted, priceable = await checked(gateway, asked, "receive_url")
        key = idempotency_key(headers.idempotency_key, settings, client, ROUTE, wanted)
        slot_s = (await gateway.durations.slots_s()).get(wanted.model_id)
        unanswered = gateway.unanswered.begin(client, ROUTE, fingerprint_of(wanted))
        async with answering(request, unanswered) as asking:
            task = await _joined(gateway, client, asking, key)
            if task is None:
                # From here on the paid call owns the upload: it goes on even if this request is canceled.
                stack.pop_all()
                wish = Asked(client, wanted, upload, key, slot_s, None if key else asking.key)
                kept = await asking.while_client_waits(gateway.in_flight.run(submitted(gateway, wish)))
                task = kept.task
                if not kept.is_replay:
                    note_charge(gateway, task)
            return asking.answer(await created_response(gateway, priceable, task))


async def _joined(gateway: Gateway, client: str, asking: Answering, key: IdempotencyKey | None) -> StoredTask | None:
    """The task of an earlier request that was never answered, once it was sent or has its place in the queue."""
    if key is not None:
        return None
    task_id = await asking.join(gateway.resources.settings.join_window_s, may_be_retry=True)
    if task_id is None:
        return None
    return await asking.while_client_waits(sent_task(gateway.resources, gateway.watch, client, task_id))
