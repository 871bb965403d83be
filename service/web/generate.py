"""What every surface does with a request for images: hold it against catalogue and guard, then submit it."""

from contextlib import nullcontext
from dataclasses import replace

from service.catalog.check import Wanted, problems
from service.errors import FieldError, InvalidRequest
from service.tasks.asked import Asked
from service.tasks.schemas import TaskRequest
from service.tasks.submit import Submitted, submit_task
from service.web.context import Gateway


async def checked(
    gateway: Gateway, asked: TaskRequest, callback_field: str = "callback_url"
) -> tuple[TaskRequest, Wanted]:
    """The request as it will be stored and as it is priced, or InvalidRequest with all that is wrong."""
    listing = await gateway.catalog.current()
    wanted = Wanted(
        model_id=asked.model_id,
        generations_count=asked.generations_count,
        model_parameters=asked.model_parameters,
        asset_count=len(asked.assets),
        prompt=asked.prompt,
    )
    wrong = [*problems(listing.models, wanted), *_deadline(asked, gateway.resources.settings.task_max_age_s)]
    callback_url = asked.callback_url
    if callback_url is not None:
        try:
            callback_url = await gateway.url_check.checked(callback_url, callback_field)
        except InvalidRequest as exc:
            wrong += exc.fields
    if wrong:
        raise InvalidRequest(*wrong)
    return replace(asked, callback_url=callback_url), wanted


async def submitted(gateway: Gateway, asked: Asked) -> Submitted:
    """Make the task and its paid call, then let the upload go. Run it by `gateway.in_flight`: it must come to its end
    even if nobody waits for it any more. Raises what `submit_task` does.
    """
    with asked.upload or nullcontext():
        return await submit_task(gateway.resources, asked)


def _deadline(asked: TaskRequest, max_age_s: float) -> list[FieldError]:
    """What is wrong with the deadline: it cannot be later than the end that every task has."""
    if asked.deadline_s is None or asked.deadline_s <= max_age_s:
        return []
    return [FieldError("deadline_s", f"must be at most {max_age_s:g}, the longest age of a task here")]
