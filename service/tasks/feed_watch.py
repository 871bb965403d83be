"""Waits for a client's next event: one read for the waiters of all clients, whoever's task it was that moved."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from service.db.listen import DELIVERIES, TASKS
from service.resources import Resources
from service.subscribers.feed import CLOCKS_DIFFER_BY, FeedFilter, FeedPage, Position, news_of, read_feed
from service.tasks.watch import Watch

# However often it is rung, it looks no more often.
LOOK_GAP_S = 0.02
# What is written and cannot be shown yet is looked for at this distance first, then at ever longer ones.
SETTLE_FIRST_S = 0.02
# Reads in a row in search of a rare type of event, for a caller who does not wait.
MOST_READS = 10


@dataclass(eq=False, slots=True)
class FeedWaiter:
    """One caller: `changed` is set when its client has an event behind `after`."""

    after: Position
    changed: asyncio.Event


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for."""

    client: str
    narrowed: FeedFilter
    after: Position
    limit: int


class FeedWatch:
    """The waiters for events of this process, and the loop that looks for them.

    A ring tells which task moved, not whose it is; so it makes one read, of the newest event of each client that
    somebody waits for, and only waiters whose client has news read their page.
    """

    name = "feed"

    def __init__(self, resources: Resources, watch: Watch) -> None:
        self.wake = asyncio.Event()
        self._resources = resources
        self._watch = watch
        self._waiters: dict[str, set[FeedWaiter]] = defaultdict(set)
        self._settle_s = SETTLE_FIRST_S
        self._looked_s = float("-inf")
        for channel in (TASKS, DELIVERIES):
            resources.bell.hear(channel, lambda _: self._look_soon())

    async def next_page(self, wanted: Wanted, wait_s: float) -> FeedPage:
        """The next events; with `wait_s`, as soon as there is one, else an empty page when that time is over.

        A waiter holds no database connection. Raises LimitReached when too many wait already.
        """
        page = await self._read(wanted, wanted.after)
        if page.events or not page.is_whole or wait_s <= 0:
            return page
        until_s = asyncio.get_running_loop().time() + wait_s
        self._watch.require_room()
        with self._watch.counted():
            while not page.events and await self._has_news(wanted.client, page.position, until_s):
                page = await self._read(wanted, page.position)
        return page

    def close(self) -> None:
        """Answer every waiter now; the watch of tasks is closed already."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.changed.set()

    async def turn(self) -> float:
        """Look for news of every client that somebody waits for; soon again where some cannot be shown yet."""
        floor_s = self._resources.settings.poll_floor_s
        if not self._waiters:
            return floor_s
        await self._keep_distance()
        since = datetime.now(UTC) - CLOCKS_DIFFER_BY
        news = await news_of(self._resources.db, list(self._waiters), since)
        for client, found in news.items():
            for waiter in self._waiters.get(client, ()):
                if found.newest is not None and found.newest > waiter.after:
                    waiter.changed.set()
        if not any(found.more_to_come for found in news.values()):
            return floor_s
        self._settle_s = min(self._settle_s * 2, floor_s)
        return self._settle_s

    async def drain(self) -> None:
        """Nothing outlives a turn."""

    async def _read(self, wanted: Wanted, after: Position) -> FeedPage:
        """The first page with an event on it, of a bounded number."""
        page = await read_feed(self._resources.db, wanted.client, wanted.narrowed, after, wanted.limit)
        for _ in range(MOST_READS - 1):
            if page.events or page.is_whole:
                break
            page = await read_feed(self._resources.db, wanted.client, wanted.narrowed, page.position, wanted.limit)
        return page

    async def _has_news(self, client: str, after: Position, until_s: float) -> bool:
        """Whether the client has an event behind the position in time; not when we are about to stop."""
        left_s = until_s - asyncio.get_running_loop().time()
        if left_s <= 0 or self._watch.is_closed:
            return False
        waiter = FeedWaiter(after, asyncio.Event())
        self._waiters[client].add(waiter)
        self._look_soon()  # it may have come between the read and now
        try:
            await asyncio.wait_for(waiter.changed.wait(), left_s)
        except TimeoutError:
            return False
        finally:
            self._leave(client, waiter)
        return not self._watch.is_closed

    def _leave(self, client: str, waiter: FeedWaiter) -> None:
        self._waiters[client].discard(waiter)
        if not self._waiters[client]:
            del self._waiters[client]

    async def _keep_distance(self) -> None:
        """So that a thousand rings a second do not make a thousand reads."""
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, self._looked_s + LOOK_GAP_S - now_s))
        self._looked_s = asyncio.get_running_loop().time()

    def _look_soon(self) -> None:
        if self._waiters:
            self._settle_s = SETTLE_FIRST_S
            self.wake.set()
