"""What a request that joined an earlier one's task waits for: that the paid call has an outcome."""

from uuid import UUID

import orjson

from service.errors import UpstreamRefused, UpstreamUnavailable
from service.resources import Resources
from service.tasks.store import StoredTask, get_task
from service.tasks.watch import Watch

RETRY_AFTER_S = 5.0
_REFUSED = "upstream_refused"
_NOT_TAKEN = "upstream_"


async def sent_task(resources: Resources, watch: Watch, client: str, task_id: UUID) -> StoredTask:
    """The task as soon as it is not being submitted any more; as it stands when the process is about to stop.

    Raises what the call's own caller got or would have got: UpstreamRefused or UpstreamUnavailable for a task that
    failed before the image API took it; and LimitReached when too many wait, NotFound when it is gone.
    """
    task = await get_task(resources.db, client, task_id)
    while task.state == "submitting" and not watch.is_closed:
        await watch.wait(task_id, task.version, resources.settings.lease_s)
        task = await get_task(resources.db, client, task_id)
    if task.state == "failed":
        _raise_if_never_taken(task)
    return task


def _raise_if_never_taken(task: StoredTask) -> None:
    shown = orjson.loads(task.body)
    if shown["upstream_task_id"] is not None:
        return
    code, message = shown["error"]["code"], shown["error"]["message"]
    if code.startswith(_NOT_TAKEN) and code != _REFUSED:
        raise UpstreamUnavailable(message, upstream_code=code, retry_after_s=RETRY_AFTER_S)
    raise UpstreamRefused(message, upstream_code=code)
