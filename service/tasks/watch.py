"""Waits for tasks to change: one reader for everybody, so that a thousand waiters hold no database connection."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from service import telemetry
from service.db.listen import TASKS
from service.errors import LimitReached
from service.resources import Resources
from service.tasks.state import State, is_final
from service.tasks.store import versions

RETRY_AFTER_S = 2.0
IDS_PER_READ = 1000


@dataclass(eq=False, slots=True)
class Waiter:
    """One caller: `changed` is set when the task has moved past `seen_version`, or has ended if that is None."""

    seen_version: int | None
    changed: asyncio.Event

    async def wait(self, timeout_s: float) -> bool:
        """Whether the task changed within the time, or we are about to stop."""
        try:
            await asyncio.wait_for(self.changed.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def is_satisfied_by(self, state: State, version: int) -> bool:
        """Whether this is what it waits for."""
        return is_final(state) or (self.seen_version is not None and version > self.seen_version)


class Watch:
    """The waiters of this process, and the loop that looks for them."""

    name = "watch"

    def __init__(self, resources: Resources) -> None:
        self.wake = asyncio.Event()
        self._resources = resources
        self._waiters: dict[UUID, set[Waiter]] = defaultdict(set)
        self._rung: set[UUID] = set()
        self._look_at_all_s = 0.0
        self._count = 0
        self.is_closed = False
        resources.bell.hear(TASKS, self._heard)

    async def wait(self, task_id: UUID, seen_version: int | None, timeout_s: float) -> None:
        """Return when the task has ended or has moved past `seen_version`, when time is up, or when we shut down.

        Raises LimitReached when too many wait already.
        """
        if self.is_closed or timeout_s <= 0:
            return
        self.require_room()
        with self.following(task_id, seen_version) as waiter:
            await waiter.wait(timeout_s)

    def require_room(self) -> None:
        """Raise LimitReached when too many wait already."""
        if self._count >= self._resources.settings.wait_max_waiters:
            raise LimitReached("Too many callers wait for tasks; poll instead.", retry_after_s=RETRY_AFTER_S)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count as a waiter for the length of the block, whatever it waits for."""
        self._count += 1
        telemetry.waiters.set(self._count)
        try:
            yield
        finally:
            self._count -= 1
            telemetry.waiters.set(self._count)

    @contextmanager
    def following(self, task_id: UUID, seen_version: int | None) -> Iterator[Waiter]:
        """Count as a waiter for the length of the block; `look_again` makes it wait for the next change."""
        waiter = Waiter(seen_version, asyncio.Event())
        with self.counted():
            self._enter(task_id, waiter)
            try:
                yield waiter
            finally:
                self._leave(task_id, waiter)

    def look_again(self, task_id: UUID, waiter: Waiter, seen_version: int) -> None:
        """Let a waiter that was woken wait for what comes after this version."""
        waiter.seen_version = seen_version
        if not self.is_closed:
            waiter.changed.clear()
            self._look_at(task_id)

    def close(self) -> None:
        """Answer every waiter now and let no other wait: the process is about to stop."""
        self.is_closed = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.changed.set()

    async def turn(self) -> float:
        """Look at the tasks that were rung, and every so often at all that are waited for: the polling floor."""
        floor_s = self._resources.settings.poll_floor_s
        rung, self._rung = self._rung, set()
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._look_at_all_s:
            rung, self._look_at_all_s = set(self._waiters), now_s + floor_s
        watched = [task_id for task_id in rung if task_id in self._waiters]
        for start in range(0, len(watched), IDS_PER_READ):
            found = await versions(self._resources.db, watched[start : start + IDS_PER_READ])
            self._tell(found.items())
        return max(self._look_at_all_s - now_s, 0.0)

    async def drain(self) -> None:
        """Nothing outlives a turn."""

    def _tell(self, found: Iterable[tuple[UUID, tuple[State, int]]]) -> None:
        for task_id, (state, version) in found:
            for waiter in self._waiters.get(task_id, ()):
                if waiter.is_satisfied_by(state, version):
                    waiter.changed.set()

    def _heard(self, items: frozenset[str]) -> None:
        watched = [task_id for task_id in map(UUID, filter(None, items)) if task_id in self._waiters]
        if not items:  # the bell was away: anything may have changed
            self._look_at_all_s = 0.0
        if watched or not items:
            self._rung.update(watched)
            self.wake.set()

    def _enter(self, task_id: UUID, waiter: Waiter) -> None:
        self._waiters[task_id].add(waiter)
        if self.is_closed:
            waiter.changed.set()
        self._look_at(task_id)

    def _look_at(self, task_id: UUID) -> None:
        # The task may have changed between the caller's read and now: look once.
        self._rung.add(task_id)
        self.wake.set()

    def _leave(self, task_id: UUID, waiter: Waiter) -> None:
        self._waiters[task_id].discard(waiter)
        if not self._waiters[task_id]:
            del self._waiters[task_id]
