"""An answer of the image API kept for a moment: one question for many callers, the last answer while it is down."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from service.errors import UpstreamError, UpstreamUnavailable
from service.telemetry import timed

T = TypeVar("T")

# Callers who could have the last answer at once wait no longer than this for a new one.
PATIENCE_S = 2.0
# After a failed question the image API is left alone for this long, as long as there is an answer to serve.
PAUSE_S = 5.0
RETRY_AFTER_S = 5.0


class Kept(Generic[T]):
    """Serves an answer for `fresh_s`; up to twice as long it is served and asked for anew behind the caller's back.

    Older, callers wait a moment for the new answer, and get the last one, however old, when it does not come.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], fresh_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._clock = clock
        self._held: T | None = None
        self._held_since_s = 0.0
        self._paused_until_s = 0.0
        self._question: asyncio.Task[UpstreamError | None] | None = None

    async def current(self) -> T:
        """The answer; raises UpstreamUnavailable with Retry-After when there has never been one."""
        age_s = self._clock() - self._held_since_s
        if self._held is None:
            return await self._first()
        if age_s >= self._fresh_s and self._clock() >= self._paused_until_s:
            question = self._asking()
            if age_s >= 2 * self._fresh_s:
                await asyncio.wait({question}, timeout=PATIENCE_S)
        return self._held

    def change(self, changed: Callable[[T], T]) -> None:
        """Correct what is held by what is known to have changed since; nothing when nothing is held."""
        if self._held is not None:
            self._held = changed(self._held)

    async def close(self) -> None:
        """End the question in flight, if any."""
        if self._question is not None:
            self._question.cancel()
            await asyncio.wait({self._question})

    async def _first(self) -> T:
        # Shielded: a caller who goes away must not take the answer from the others who wait for it.
        failure = await asyncio.shield(self._asking())
        if self._held is None:
            retry_after_s = (failure and failure.retry_after_s) or RETRY_AFTER_S
            raise UpstreamUnavailable("The image API does not answer now.", retry_after_s=retry_after_s) from failure
        return self._held

    def _asking(self) -> asyncio.Task[UpstreamError | None]:
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._asked())
        return self._question

    async def _asked(self) -> UpstreamError | None:
        """Ask and keep the answer. A failure is returned: nobody may be left to whom it could be raised."""
        try:
            with timed("upstream"):
                self._held = await self._ask()
        except UpstreamError as exc:
            self._paused_until_s = self._clock() + PAUSE_S
            return exc
        self._held_since_s = self._clock()
        return None
