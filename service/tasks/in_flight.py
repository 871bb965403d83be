"""Work that must end even if nobody waits for it any more: a client that hangs up never cancels a paid call."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class InFlight:
    """The paid calls that this process has begun; shutdown waits for them."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`; when the caller is canceled the work goes on by itself."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def drain(self, within_s: float) -> None:
        """Wait until everything has ended, or until time is up."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=within_s)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may be gone: mark it as seen, so that asyncio does not complain
