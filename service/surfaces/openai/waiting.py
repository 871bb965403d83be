"""Waits on behalf of one OpenAI request: for the paid call, then for the task's end, never longer than its client."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from service.errors import GatewayError, TaskNotEnded
from service.surfaces.openai.patience import MIN_MARGIN_S
from service.tasks.asked import Asked
from service.tasks.store import StoredTask, get_task
from service.web.context import Gateway
from service.web.disconnect import Answering
from service.web.generate import submitted

# After a wait the client may come again at once; when we stop, as soon as another process is likely to serve.
COME_AGAIN_AFTER_S = 0.5
RESTARTED_AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """One request, and until when by the loop's clock it must be answered."""

    gateway: Gateway
    client: str
    asking: Answering
    answer_by_s: float

    async def submitted(self, asked: Asked) -> UUID:
        """The id of the new task once its paid call has ended; that goes on by itself if nobody waits any more.

        Raises what `submit_task` does, and TaskNotEnded when the time is up before.
        """
        # Never no time at all: the call has to be under way before it is left to itself.
        by_s = max(self.answer_by_s, asyncio.get_running_loop().time() + MIN_MARGIN_S)
        paid_call = self.gateway.in_flight.run(submitted(self.gateway, asked))
        try:
            async with asyncio.timeout_at(by_s):
                return (await self.asking.while_client_waits(paid_call)).task.id
        except TimeoutError as exc:
            raise self._not_ended(None, "The task is still being sent to the image API.") from exc

    async def ended(self, task_id: UUID) -> StoredTask:
        """The task in its final state; TaskNotEnded when it has none by the time the answer is due."""
        left_s = self.answer_by_s - asyncio.get_running_loop().time()
        try:
            await self.asking.while_client_waits(self.gateway.watch.wait(task_id, None, left_s))
            task = await self.task(task_id)
        except GatewayError as exc:
            # Paid by now: whatever keeps us from waiting must not read as a failure.
            raise self._not_ended(task_id, f"Task {task_id} goes on.", exc.retry_after_s) from exc
        if not task.is_final:
            raise self.not_ended(task)
        return task

    async def begun(self, task_id: UUID) -> StoredTask:
        """The task as it stands, to be followed by `steps`; TaskNotEnded when it cannot be read or too many wait."""
        try:
            self.gateway.watch.require_room()
            return await self.task(task_id)
        except GatewayError as exc:
            raise self._not_ended(task_id, f"Task {task_id} goes on.", exc.retry_after_s) from exc

    async def steps(self, task: StoredTask) -> AsyncGenerator[StoredTask | None, None]:
        """The task each time it has moved, its end last; None for every while of silence. It waits without a limit.

        Raises TaskNotEnded when we are about to stop, or cannot read the task.
        """
        quiet_s = self.gateway.resources.settings.stream_quiet_s
        with self.gateway.watch.following(task.id, task.version) as waiter:
            while not task.is_final:
                if self.gateway.watch.is_closed:
                    raise self.not_ended(task)
                if not await waiter.wait(quiet_s):
                    yield None
                    continue
                try:
                    task = await self.task(task.id)
                except GatewayError as exc:
                    raise self.not_ended(task) from exc
                self.gateway.watch.look_again(task.id, waiter, task.version)
                yield task

    async def task(self, task_id: UUID) -> StoredTask:
        """The task as it stands."""
        return await get_task(self.gateway.resources.db, self.client, task_id)

    def not_ended(self, task: StoredTask) -> TaskNotEnded:
        """What a client is told that has to come again."""
        return self._not_ended(task.id, f"Task {task.id} has not ended yet, it is {task.state}.")

    def _not_ended(self, task_id: UUID | None, news: str, after_s: float | None = None) -> TaskNotEnded:
        where = f", as GET /api/v1/tasks/{task_id}?wait=60 does" if task_id else ""
        detail = f"{news} Send the same request again: it waits on for that task{where}, and nothing is paid twice."
        after_s = RESTARTED_AFTER_S if self.gateway.watch.is_closed else after_s or COME_AGAIN_AFTER_S
        return TaskNotEnded(detail, task_id=task_id, retry_after_s=after_s)
