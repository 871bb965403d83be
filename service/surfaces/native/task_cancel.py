"""POST /api/v1/tasks/{id}/cancel: take a task back. Thin: the work is in service/tasks/cancel."""

from fastapi import APIRouter
from starlette.responses import Response

from service.surfaces.native import task_answers as answers
from service.surfaces.native.shapes import Nothing
from service.surfaces.native.task_response import TaskId, read_task_id, task_response
from service.tasks.cancel import cancel_task
from service.tasks.schemas import Task
from service.web.auth import SECURITY, Client
from service.web.context import GatewayParts

router = APIRouter(prefix="/api/v1", tags=["tasks"], dependencies=[*SECURITY])


@router.post(
    "/tasks/{task_id}/cancel",
    summary="Cancel a task",
    operation_id="cancelTask",
    response_model=Task,
    responses=answers.CANCELED,
)
async def cancel(task_id: TaskId, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Take a task back. One that still waits is canceled at once and costs nothing.

    One that was sent is canceled where the operator lets the gateway ask the image API for it: then it costs what is
    not given back. A result that comes first wins: the answer shows the task as it stands.
    """
    # It goes on even if this request is canceled: what the image API has deleted must be written down.
    canceled = await gateway.in_flight.run(cancel_task(gateway.resources, client, read_task_id(task_id)))
    return task_response(canceled.task, {}, status=202 if canceled.was_sent else 200)
