"""The sandbox's whole state in one object: moods, account, tasks, callbacks and the counters of the ledger."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from service.sandbox.account import Account, buckets_of
from service.sandbox.callbacks import Callbacks
from service.sandbox.catalogue import load_catalogue
from service.sandbox.dice import Dice
from service.sandbox.moods import Moods, patched
from service.sandbox.settings import SandboxSettings
from service.sandbox.task import Task, ledger_entry
from service.sandbox.taskbook import TaskBook


@dataclass
class Counts:
    """What the ledger counts beside the tasks."""

    requests_by_endpoint: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    ignored_fields: Counter[str] = field(default_factory=Counter)


class Upstream:
    """One upstream account and the server's moods. Not thread-safe: everything happens on the event loop."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.start_moods = patched(Moods(), settings.moods)
        self.callbacks = Callbacks(Dice(self.start_moods.seed))
        self.stopping = asyncio.Event()
        self.refuse_connections: Callable[[float], None] | None = None
        self._begin(self.start_moods)

    def _begin(self, moods: Moods) -> None:
        self.moods = moods.model_copy(deep=True)
        self.dice = self.callbacks.dice = Dice(moods.seed)
        self.counts = Counts()
        self.account = Account(self.settings.credits)
        self.tasks = TaskBook(self.account, self.dice, self._task_ended)
        self._fit_to_moods()

    def _fit_to_moods(self) -> None:
        self.buckets = buckets_of(self.moods)
        self.catalogue = load_catalogue(self.moods.models_patch)
        lines = [dict(model.line) for model in self.catalogue.models.values()]
        self.models_body = orjson.dumps({"success": True, "models": lines})

    def _task_ended(self, task: Task) -> None:
        self.callbacks.task_ended(task, self.moods)

    def reset(self) -> None:
        """Everything as at the start; timers, held callbacks and sends under way are dropped."""
        self.stop_clocks()
        self._begin(self.start_moods)

    def stop_clocks(self) -> None:
        """Cancel timers and callbacks."""
        self.tasks.stop()
        self.callbacks.cancel()

    def change_moods(self, patch: dict[str, Any]) -> None:
        """Lay a patch over the moods; ValidationError, and no change, when a knob or value does not exist."""
        before = self.moods
        self.moods = patched(before, patch)
        if "seed" in patch:
            self.dice.seed(self.moods.seed)
        if any(name == "models_patch" or name.startswith("bucket_") for name in patch):
            self._fit_to_moods()

    async def wait(self, delay_s: float) -> None:
        """Let so many seconds pass, or fewer when the server stops."""
        if delay_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), delay_s)

    def charge_bucket(self, scope: str, cost: int) -> dict[str, str]:
        """Take tokens for a request; rate limit headers for its answer, or Refused."""
        return self.buckets[scope].take(cost, scope)

    def ledger(self, limit: int | None) -> dict[str, Any]:
        """The truth about money: the last `limit` creates in the order they came (None = all), and the totals."""
        newest_first = islice(reversed(self.tasks.entries.values()), limit)
        requests = self.counts.requests_by_endpoint
        return {
            "creates": [ledger_entry(task) for task in newest_first][::-1],
            "creates_total": len(self.tasks.entries),
            "open": self.tasks.open_count,
            "highest_open": self.tasks.highest_open,
            "balance": self.account.balance,
            "refused": dict(self.counts.refused),
            "ignored_fields": dict(self.counts.ignored_fields),
            "polls": requests["poll"],
            "lists": requests["list"],
            "requests_by_endpoint": dict(requests),
            "callbacks_sent": self.callbacks.sent,
            "callbacks_lost": self.callbacks.lost,
            "callbacks_held": len(self.callbacks.held),
        }
