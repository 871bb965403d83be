"""The answer with the pictures as a stream: comments while the task runs, then an event for each picture."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import orjson
from starlette.responses import StreamingResponse

from service.errors import GatewayError
from service.surfaces.openai.envelope import envelope
from service.surfaces.openai.errors import TaskFailed
from service.surfaces.openai.ordered import Ordered
from service.surfaces.openai.pictured import Pictured, pictured
from service.surfaces.openai.pictures import Shown, show
from service.surfaces.openai.waiting import Waiting
from service.tasks.store import StoredTask

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# The image API counts no tokens; the libraries' types promise the numbers all the same.
_NO_USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
}


class PictureStream(StreamingResponse):
    """`text/event-stream`, for the OpenAPI document too."""

    media_type = "text/event-stream"


def picture_stream(waiting: Waiting, order: Ordered, task: StoredTask) -> PictureStream:
    """The stream for a task that is paid for. Its status is out before the task's end, so errors come as events."""
    return PictureStream(_frames(waiting, order, task), headers=HEADERS)


async def _frames(waiting: Waiting, order: Ordered, task: StoredTask) -> AsyncIterator[bytes]:
    try:
        async with aclosing(waiting.steps(task)) as steps:
            yield _comment(task)
            async for step in steps:
                task = step or task
                yield _comment(task)
        done = pictured(task, order.quality)
        with waiting.gateway.resources.spool.open() as spool:
            for shown in await show(waiting, order, done, spool):
                async for piece in _completed(order, done, shown):
                    yield piece
    except GatewayError as exc:
        if isinstance(exc, TaskFailed):
            waiting.asking.tells_the_end()
        else:
            waiting.asking.leaves_it_open()
        yield b"event: error\ndata: %b\n\n" % envelope(exc, exc.status)


def _comment(task: StoredTask) -> bytes:
    """What no library reads, but what keeps proxies and read timeouts at bay, and tells people how far it is."""
    progress = orjson.loads(task.body)["progress"]
    return f": {task.state}\n\n".encode() if progress is None else f": {task.state} {progress} %\n\n".encode()


async def _completed(order: Ordered, done: Pictured, shown: Shown) -> AsyncIterator[bytes]:
    facts = {
        **done.facts,
        "type": f"{order.kind}.completed",
        "created_at": done.facts["created"],
        "quality": done.facts["quality"] or "auto",
        "background": "auto",
        "usage": _NO_USAGE,
    }
    yield b"event: %b\ndata: %b," % (f"{order.kind}.completed".encode(), orjson.dumps(facts)[:-1])
    async for piece in shown.members():
        yield piece
    yield b"}\n\n"
