"""Every task of the account: taken and charged in one step, ended by its timer or by hand, refunded when it fails."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

from service.sandbox.account import Account
from service.sandbox.dice import Dice
from service.sandbox.moods import Moods
from service.sandbox.refusals import Refused
from service.sandbox.task import Order, Task


class TaskBook:
    """Tasks by id, the open ones counted as they come and go, so that nothing is ever scanned."""

    def __init__(self, account: Account, dice: Dice, on_end: Callable[[Task], None]) -> None:
        self.entries: dict[str, Task] = {}
        self.open_count = 0
        self.highest_open = 0
        self._listed: dict[str, Task] = {}
        self._account, self._dice, self._on_end = account, dice, on_end

    def accept(self, order: Order, base_url: str, moods: Moods) -> Task:
        """Take and charge an order, or refuse it. Nothing runs yet: `start` sets the clock once it is answered."""
        if moods.active_task_cap and self.open_count >= moods.active_task_cap:
            words = f"Too many tasks in queue: {self.open_count} of {moods.active_task_cap} are not finished"
            raise Refused(429, "active_task_limit", words, "code", "active_task_limit")
        self._account.charge(order.credits, moods)
        now = datetime.now(UTC)
        stuck = self._dice.falls(moods.stuck)
        task = Task(
            task_id=uuid.uuid4().hex,
            order=order,
            base_url=base_url,
            received_at=now,
            started_s=asyncio.get_running_loop().time(),
            due_in_s=None if stuck else self._dice.duration_s(moods),
            fate="error" if self._dice.falls(moods.task_error) else "done",
            updated_at=now,
        )
        self.entries[task.task_id] = self._listed[task.task_id] = task
        self.open_count += 1
        self.highest_open = max(self.highest_open, self.open_count)
        return task

    def start(self, task: Task, moods: Moods) -> None:
        """Let the task end by itself when its time comes; a stuck one never does."""
        if task.due_in_s is not None and task.open and task.timer is None:
            task.timer = asyncio.get_running_loop().call_later(task.due_in_s, self._due, task, moods)

    def _due(self, task: Task, moods: Moods) -> None:
        self.end_by_fate(task, moods)
        self._on_end(task)

    def end_by_fate(self, task: Task, moods: Moods) -> None:
        """End it now the way it was going to, and tell nobody."""
        if task.fate == "done":
            self.finish(task)
        else:
            self.fail(task, f"{moods.task_error.code}: {moods.task_error.message}", moods.task_error.refund)

    def finish(self, task: Task) -> None:
        """The pictures are there."""
        self._close(task)
        task.status = "done"

    def fail(self, task: Task, error_message: str, refund: bool) -> None:
        """It ends in error; its credits come back unless `refund` is off."""
        self._close(task)
        task.status, task.error_message = "error", error_message
        if refund:
            self._refund(task)

    def delete(self, task: Task, refund: bool) -> int:
        """Forget the task for every reader but the ledger; the credits that came back."""
        self._listed.pop(task.task_id, None)
        if not task.open:
            return 0
        self._close(task)
        task.status = "deleted"
        if refund:
            self._refund(task)
        return task.refunded

    def find(self, task_id: str) -> Task | None:
        """The task, unless it was deleted."""
        return self._listed.get(task_id)

    def page(self, page: int, limit: int) -> tuple[list[Task], int]:
        """One page of the tasks, newest first, and how many there are."""
        first = (page - 1) * limit
        return list(islice(reversed(self._listed.values()), first, first + limit)), len(self._listed)

    def stop(self) -> None:
        """Stop every clock that still runs."""
        for task in self.entries.values():
            if task.timer is not None:
                task.timer.cancel()

    def _close(self, task: Task) -> None:
        if task.timer is not None:
            task.timer.cancel()
        task.ended_at = task.updated_at = datetime.now(UTC)
        self.open_count -= 1

    def _refund(self, task: Task) -> None:
        task.refunded = task.order.credits
        self._account.refund(task.order.credits)
