"""Waits for tasks to change: one reader for everybody, so that a thousand waiters hold no database connection."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
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
class _Waiter:
    """One caller: `changed` is set when the task has moved past `seen_version`, or has ended if that is None."""

    seen_version: int | None
    changed: asyncio.Event

    def is_satisfied_by(self, state: State, version: int) -> bool:
        return is_final(state) or (self.seen_version is not None and version > self.seen_version)


class Watch:
    """The waiters of this process, and the loop that looks for them."""

    name = "watch"

    def __init__(self, resources: Resources) -> None:
        self.wake = asyncio.Event()
        self._resources = resources
        self._waiters: dict[UUID, set[_Waiter]] = defaultdict(set)
        self._rung: set[UUID] = set()
        self._look_at_all_s = 0.0
        self._count = 0
        self._closed = False
        resources.bell.hear(TASKS, self._heard)

    async def wait(self, task_id: UUID, seen_version: int | None, timeout_s: float) -> None:
        """Return when the task has ended or has moved past `seen_version`, when time is up, or when we shut down.

        Raises LimitReached when too many wait already.
        """
        if self._closed or timeout_s <= 0:
            return
        if self._count >= self._resources.settings.wait_max_waiters:
            raise LimitReached("Too many callers wait for tasks; poll instead.", retry_after_s=RETRY_AFTER_S)
        waiter = _Waiter(seen_version, asyncio.Event())
        self._enter(task_id, waiter)
        try:
            await asyncio.wait_for(waiter.changed.wait(), timeout_s)
        except TimeoutError:
            return
        finally:
            self._leave(task_id, waiter)

    def close(self) -> None:
        """Answer every waiter now and let no other wait: the process is about to stop."""
        self._closed = True
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

    def _enter(self, task_id: UUID, waiter: _Waiter) -> None:
        self._waiters[task_id].add(waiter)
        self._count += 1
        telemetry.waiters.set(self._count)
        # The task may have changed between the caller's read and now: look once.
        self._rung.add(task_id)
        self.wake.set()

    def _leave(self, task_id: UUID, waiter: _Waiter) -> None:
        self._waiters[task_id].discard(waiter)
        if not self._waiters[task_id]:
            del self._waiters[task_id]
        self._count -= 1
        telemetry.waiters.set(self._count)
