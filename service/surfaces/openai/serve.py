"""One OpenAI request from the checked order to its answer: join the task of an earlier try, or pay, then wait."""

from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from service.surfaces.openai.errors import TaskFailed
from service.surfaces.openai.ordered import Ordered
from service.surfaces.openai.patience import is_retry, wait_s
from service.surfaces.openai.picture_body import PictureAnswer
from service.surfaces.openai.picture_events import picture_stream
from service.surfaces.openai.pictured import pictured
from service.surfaces.openai.pictures import show
from service.surfaces.openai.waiting import Waiting
from service.tasks.asked import Asked
from service.tasks.idempotency import IdempotencyKey, fingerprint_of
from service.uploads.spool import SpoolFile
from service.web.context import Gateway
from service.web.disconnect import answering

# A library sends a request three times, each waits for the cap; then a person or a program may try once more.
WAITS_TO_JOIN = 4


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came in: whose it is, and when it came by the loop's clock."""

    request: Request
    gateway: Gateway
    client: str
    began_s: float

    @property
    def route(self) -> str:
        """The route, within which keys and repetitions are told apart."""
        return f"POST {self.request.url.path}"


async def serve(call: Call, order: Ordered, key: IdempotencyKey | None, upload: SpoolFile | None) -> Response:
    """The pictures, or a stream that ends with them; the upload is let go of in every case.

    Raises what `submit_task` does, TaskNotEnded when the time is up first, TaskFailed, PicturesNotFetched.
    """
    gateway, settings = call.gateway, call.gateway.resources.settings
    unanswered = gateway.unanswered.begin(call.client, call.route, fingerprint_of(order.wanted))
    with ExitStack() as stack:
        if upload is not None:
            stack.enter_context(upload)
        async with answering(call.request, unanswered) as asking:
            by_s = call.began_s + wait_s(call.request.headers, settings.openai_wait_max_s)
            waiting = Waiting(gateway, call.client, asking, by_s)
            window_s = settings.join_window_s + WAITS_TO_JOIN * settings.openai_wait_max_s
            task_id = await asking.join(window_s, may_be_retry=is_retry(call.request.headers))
            if task_id is None:
                slot_s = (await gateway.durations.slots_s()).get(order.wanted.model_id)
                asked = Asked(call.client, order.wanted, upload, key, slot_s, unanswered=asking.key)
                # From here on the paid call owns the upload: it goes on even if this request is canceled.
                stack.pop_all()
                task_id = await waiting.submitted(asked)
            return asking.answer(await _response(waiting, order, task_id))


async def _response(waiting: Waiting, order: Ordered, task_id: UUID) -> Response:
    if order.stream:
        return picture_stream(waiting, order, await waiting.begun(task_id))
    task = await waiting.ended(task_id)
    try:
        done = pictured(task, order.quality)
    except TaskFailed:
        waiting.asking.tells_the_end()
        raise
    with ExitStack() as stack:
        spool = stack.enter_context(waiting.gateway.resources.spool.open())
        shown = await waiting.asking.while_client_waits(show(waiting, order, done, spool))
        answer = PictureAnswer(done, shown, spool)
        stack.pop_all()
    return answer
