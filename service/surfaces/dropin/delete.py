"""POST /v1/task/delete: take tasks back. Thin: the work is in service/tasks/cancel."""

from decimal import Decimal
from uuid import UUID

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.errors import AlreadyFinal, AlreadySent, NotFound
from service.surfaces.dropin import examples
from service.surfaces.dropin.answers import json_response, ok
from service.surfaces.dropin.numbers import json_number
from service.surfaces.dropin.shapes import Deleted, DeleteFields
from service.tasks.cancel import cancel_task
from service.tasks.store import StoredTask
from service.web.auth import SECURITY, Client
from service.web.body import parse_object, read_body, shaped
from service.web.context import Gateway, GatewayParts
from service.web.openapi import json_body

router = APIRouter(tags=["drop-in"], dependencies=[*SECURITY])


@router.post(
    "/v1/task/delete",
    summary="Take tasks back",
    operation_id="dropInDelete",
    response_model=Deleted,
    responses=ok(examples.DELETED, 400, 401, 413, 502, 503),
    openapi_extra={"requestBody": {"required": True, "content": json_body(DeleteFields, examples.DELETE_REQUESTS)}},
)
async def delete_tasks(request: Request, gateway: GatewayParts, client: Client) -> Response:
    """Cancel the tasks that can be taken back; ids of others, of ended tasks and of nobody are passed over.

    A task that was sent is taken back only where the operator lets the gateway ask the image API for it. Nothing is
    removed: a task stays in the list, as `error` when it was canceled.
    """
    values = parse_object(await read_body(request, gateway.resources.settings.request_max_json_bytes), "The body")
    known = {name: value for name, value in values.items() if name in DeleteFields.model_fields}
    refunds = [await _refund(gateway, client, task_id) for task_id in shaped(DeleteFields, known, {}).task_ids]
    refunded = json_number(sum(refunds, Decimal(0)))
    return json_response(orjson.dumps({"success": True, "refunded_credits": refunded}))


async def _refund(gateway: Gateway, client: str, task_id: str) -> Decimal:
    try:
        # It goes on even if this request is canceled: what the image API has deleted must be written down.
        canceled = await gateway.in_flight.run(cancel_task(gateway.resources, client, UUID(task_id)))
    except (ValueError, NotFound, AlreadyFinal, AlreadySent):
        return Decimal(0)
    return _given_back(canceled.task)


def _given_back(task: StoredTask) -> Decimal:
    """What the task was to cost, less what it costs now; nothing as long as it has no end."""
    shown = orjson.loads(task.body)
    if shown["estimated_credits"] is None or shown["credits"] is None:
        return Decimal(0)
    return max(Decimal(str(shown["estimated_credits"])) - Decimal(str(shown["credits"])), Decimal(0))
