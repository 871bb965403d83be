"""POST /api/v1/tasks/{id}/resubmit: send a failed task's request again. Thin: the work is in service/tasks/resubmit."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from service.surfaces.native import task_answers as answers
from service.surfaces.native.shapes import NoParameters
from service.surfaces.native.task_response import TaskId, read_task_id, task_response
from service.tasks.resubmit import Resubmission, resubmit
from service.tasks.schemas import Task
from service.web.auth import SECURITY, Client
from service.web.context import GatewayParts

router = APIRouter(prefix="/api/v1", tags=["tasks"], dependencies=[*SECURITY])


class ResubmitParameters(NoParameters):
    """What the caller knows and accepts."""

    accept_duplicate_cost: bool = Field(
        default=False,
        description="Needed where nobody knows whether the image API makes and charges the first one after all.",
    )


@router.post(
    "/tasks/{task_id}/resubmit",
    status_code=202,
    summary="Send a failed task again",
    operation_id="resubmitTask",
    response_model=Task,
    responses=answers.RESUBMITTED,
)
async def resubmit_task(
    task_id: TaskId, gateway: GatewayParts, client: Client, wanted: Annotated[ResubmitParameters, Query()]
) -> Response:
    """A new task with the same request, which waits for a slot; the failed one stays as it is.

    Reference images are at hand only if they were stored, which they are for tasks that had to wait; else 409
    `assets_gone`: send the request anew.
    """
    resubmission = Resubmission(client, read_task_id(task_id), wanted.accept_duplicate_cost)
    task = await resubmit(gateway.resources, resubmission)
    return task_response(task, {"Location": f"/api/v1/tasks/{task.id}"}, status=202)
