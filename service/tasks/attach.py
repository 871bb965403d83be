"""Retries without a key: a request that comes again joins the task of one that was never answered, and only of such.

Clients of the drop-in and OpenAI surfaces send no Idempotency-Key, and repeating a prompt on purpose means another
image. What tells a retry from a second wish is whether the first request was answered. So the request is kept in the
commit that makes its task, and forgotten once a 2xx has gone out. Its waiter is the request that waits for the answer:
released when the client goes away or gets an error, and taken for dead when its process was not heard of for 15 s.

Use it by way of `web/disconnect.answering`, which sees the client go.
"""

import asyncio
import time
from contextlib import suppress
from uuid import UUID

import structlog

from service.db.engine import Database
from service.db.ids import new_id
from service.errors import Unavailable
from service.tasks.asked import Unanswered
from service.tasks.unanswered import (
    WAITER_LEASE_S,
    Look,
    forget_answered,
    release_waiter,
    renew_waiters,
    take_unanswered,
)

RENEW_EVERY_S = 5.0
LOOK_AGAIN_S = 0.2
WAIT_AT_MOST_S = WAITER_LEASE_S + 1.0
# A request may commit its task so long after its client has left.
REMEMBER_LEFT_S = 60.0

log = structlog.get_logger(__name__)


class UnansweredRequest:
    """One request on its way to an answer; made by `UnansweredRequests.begin`, and ended exactly once."""

    def __init__(self, requests: "UnansweredRequests", key: Unanswered) -> None:
        self._requests = requests
        self.key = key

    async def join(self, window_s: float, *, may_be_retry: bool) -> UUID | None:
        """The task of the same request that came before and was never answered; None when a new one is meant.

        A task made more than `window_s` ago is left alone. Where the first request is another process's affair, and
        this one may be its retry, wait until that process lets go of it, answers it, dies (15 s) or shows that it
        still serves it (5 s). In this process all of that is known at once. Raises Unavailable.
        """
        look = await self._requests.look(self.key, window_s)
        in_the_way = self._requests.strangers(look)
        give_up_s = time.monotonic() + WAIT_AT_MOST_S
        while look.task_id is None and may_be_retry and in_the_way and time.monotonic() < give_up_s:
            await asyncio.sleep(LOOK_AGAIN_S)
            look = await self._requests.look(self.key, window_s)
            in_the_way = {each: until for each, until in in_the_way.items() if look.standing.get(each) == until}
        if look.task_id is not None:
            log.info("request_joined", task_id=str(look.task_id), route=self.key.route)
        return look.task_id

    def answered(self) -> None:
        """The answer has gone out to a client that was there: the same request means another task from now on."""
        self._requests.end_answered(self.key.waiter)

    async def release(self) -> None:
        """The client is gone or gets an error: who comes next with the same request joins the task, if there is one."""
        await self._requests.end_released(self.key.waiter)


class UnansweredRequests:
    """Those of this process, and the loop that tells of them: that they are still served, that they were answered."""

    name = "unanswered"

    def __init__(self, database: Database) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._waiting: dict[UUID, float] = {}  # since when, by the monotonic clock
        self._left: dict[UUID, float] = {}
        self._answered: set[UUID] = set()
        self._renew_at_s = 0.0

    def begin(self, client: str, route: str, fingerprint: bytes) -> UnansweredRequest:
        """A request that is being served from now on; end it by `answered` or `release`."""
        waiter = new_id()
        self._waiting[waiter] = time.monotonic()
        return UnansweredRequest(self, Unanswered(client, route, fingerprint, waiter))

    async def look(self, key: Unanswered, window_s: float) -> Look:
        """Join what may be joined, or see what stands in the way."""
        return await take_unanswered(self._database, key, self._left, window_s)

    def strangers(self, look: Look) -> dict[UUID, object]:
        """The waiters in the way of whom another process, dead or alive, knows more."""
        ours = self._waiting.keys() | self._answered
        return {waiter: until for waiter, until in look.standing.items() if waiter not in ours}

    def end_answered(self, waiter: UUID) -> None:
        """Forget the request soon, off its caller's way."""
        if self._waiting.pop(waiter, None) is not None:
            self._answered.add(waiter)
            self.wake.set()

    async def end_released(self, waiter: UUID) -> None:
        """Nobody waits for it; when that cannot be stored now, its time runs out by itself."""
        if waiter not in self._waiting:
            return
        self._left[waiter] = time.monotonic()
        try:
            await release_waiter(self._database, waiter)
        except Unavailable:
            log.warning("waiter_not_released", expires_in_s=WAITER_LEASE_S)
        finally:
            self._waiting.pop(waiter, None)
            self.wake.set()

    async def turn(self) -> float:
        """Forget what was answered; every few seconds say which requests are still served."""
        if answered := list(self._answered):
            await forget_answered(self._database, answered)
            self._answered.difference_update(answered)
        now_s = time.monotonic()
        if now_s >= self._renew_at_s:
            await self._renew(now_s)
            self._renew_at_s = now_s + RENEW_EVERY_S
        return self._renew_at_s - now_s

    async def drain(self) -> None:
        """Go on for as long as requests are served; each of them is answered or released at its end."""
        while self._waiting:
            self.wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), RENEW_EVERY_S)
            with suppress(Unavailable):
                await self.turn()

    async def _renew(self, now_s: float) -> None:
        self._left = {waiter: at_s for waiter, at_s in self._left.items() if now_s - at_s < REMEMBER_LEFT_S}
        if long := [each for each, since_s in self._waiting.items() if now_s - since_s >= RENEW_EVERY_S]:
            await renew_waiters(self._database, long)
