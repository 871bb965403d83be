"""Sees a client go away before its answer is out, so that its retry joins the task instead of paying again.

A send to a client that is gone returns as if all were well; only `receive()` tells. What it cannot tell: an answer that
left this machine and never arrived. Such a client's retry makes a new task.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.tasks.asked import Unanswered
from service.tasks.attach import UnansweredRequest

T = TypeVar("T")


class Answering:
    """A request without an idempotency key on its way to an answer; see `answering`."""

    def __init__(self, request: UnansweredRequest, receive: Receive) -> None:
        self._request = request
        self._gone = asyncio.Event()
        self._watch = asyncio.create_task(self._watch_client(receive))
        self._tells_end = False
        self._leaves_open = False
        self._is_out = False
        self.is_handed_over = False

    @property
    def key(self) -> Unanswered:
        """What `Asked.unanswered` takes."""
        return self._request.key

    @property
    def client_is_gone(self) -> bool:
        """Whether the client has left."""
        return self._gone.is_set()

    async def join(self, window_s: float, *, may_be_retry: bool) -> UUID | None:
        """The id of the task to answer with, None when one is to be made: see `UnansweredRequest.join`."""
        return await self.while_client_waits(self._request.join(window_s, may_be_retry=may_be_retry))

    async def while_client_waits(self, work: Awaitable[T]) -> T:
        """What the work gives; when the client leaves first, the work is canceled and ClientDisconnect raised.

        Let that pass: the middleware accounts for it. A paid call under `InFlight.run` goes on by itself.
        """
        working, leaving = asyncio.ensure_future(work), asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise ClientDisconnect
        finally:
            working.cancel()
            leaving.cancel()

    def tells_the_end(self) -> None:
        """Say that the answer, or the error about to be raised, tells of the task's failure: an answer all the same.

        Else the same request would get the old failure until the window is over.
        """
        self._tells_end = True

    def leaves_it_open(self) -> None:
        """Say that a stream, already a 2xx, is about to end before the task does: who sends the request again joins."""
        self._leaves_open = True

    def answer(self, response: Response) -> Response:
        """The response, which ends the request when it has gone out: answered if it was a whole 2xx, else released."""
        self.is_handed_over = True
        return _Watched(response, self)

    def last_byte_went_out(self) -> None:
        """Take no more note of the client: right after a whole answer the server says that everybody has left."""
        self._is_out = True

    async def end(self, *, is_good: bool) -> None:
        """Nothing more goes out; `is_good`: what went out was a 2xx."""
        if self.client_is_gone:
            await self._watch  # which releases it
        self._watch.cancel()
        if self._tells_end or (is_good and self._is_out and not self._leaves_open):
            self._request.answered()
        else:
            await self._request.release()

    async def _watch_client(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        if not self._is_out:
            self._gone.set()
            # At once: the paid call may still take a minute, and the retry may be here in a second.
            await self._request.release()


class _Watched(Response):
    """Passes a response on, and looks whether its last byte went out to a client that was there."""

    def __init__(self, response: Response, answering: Answering) -> None:
        super().__init__(status_code=response.status_code, background=response.background)
        self._response = response
        self._answering = answering
        self._is_good = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the response within its request's life."""

        async def watched_send(message: Message) -> None:
            await self._send(send, message)

        try:
            await self._response(scope, receive, watched_send)
        finally:
            await self._answering.end(is_good=self._is_good)

    async def _send(self, send: Send, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_good = 200 <= message["status"] < 300
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last:
            await asyncio.sleep(0)  # lets the watch take note of a client that has left in this very moment
        was_there = not self._answering.client_is_gone
        await send(message)
        # Without a pause since the send, so that the watch has not yet heard what the server says after every answer.
        if is_last and was_there and not self._answering.client_is_gone:
            self._answering.last_byte_went_out()


@asynccontextmanager
async def answering(request: Request, unanswered: UnansweredRequest) -> AsyncIterator[Answering]:
    """Serve a request whose client sends no key. Enter it with the body read and checked, and nothing paid yet.

        fingerprint = fingerprint_of(wanted)
        async with answering(request, gateway.unanswered.begin(client, ROUTE, fingerprint)) as asking:
            task_id = await asking.join(settings.join_window_s, may_be_retry=True)
            if task_id is None:
                asked = Asked(client, wanted, upload, unanswered=asking.key)
                submitted = await asking.while_client_waits(gateway.in_flight.run(submit(gateway, asked)))
            …
            return asking.answer(response)

    A task that is joined may stand anywhere, `submitting` and `failed` included. An error that leaves the block
    releases the request, so that the next one joins; a refusal that charged nothing is forgotten by `submit_task`.
    """
    asking = Answering(unanswered, request.receive)
    try:
        yield asking
    except BaseException:
        await asking.end(is_good=False)
        raise
    if not asking.is_handed_over:
        await asking.end(is_good=False)
