"""How long tasks of a model take, measured from those that ended well: when to ask, what to tell who waits."""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text

from service.db.engine import Database
from service.settings import Settings

FRESH_S = 60.0
# The newest tasks that are looked through; bounded, so that it costs the same however many there are.
TASKS_LOOKED_AT = 5000
ENOUGH_FOR_MEDIAN = 5
ENOUGH_FOR_LONG = 20
SHORTEST_SLOT_S = 60.0
# Asking begins a little before the median: ends that are only seen by asking would else never be measured as shorter.
FIRST_LOOK_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds from submission to success of one model, over `tasks` tasks."""

    tasks: int
    median_s: float
    long_s: float  # 95 of 100 take less


class Durations:
    """Measurements kept for a minute. Make one per loop or route that needs it; Unavailable when Postgres is away."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._measured: dict[str, Measured] = {}
        self._fresh_until_s = 0.0

    async def expected_s(self, model_id: str) -> float:
        """Seconds that half of the model's tasks need at most; `GATEWAY_TASK_EXPECTED_S` while it is not measured."""
        measured = (await self._fresh()).get(model_id)
        return measured.median_s if measured else self._settings.task_expected_s

    async def long_s(self, model_id: str) -> float:
        """Seconds after which a task of the model is surely odd; `GATEWAY_UPSTREAM_SLOT_MAX_S` while not measured."""
        measured = (await self._fresh()).get(model_id)
        if measured is None or measured.tasks < ENOUGH_FOR_LONG:
            return self._settings.upstream_slot_max_s
        return min(measured.long_s, self._settings.upstream_slot_max_s)

    async def slots_s(self) -> dict[str, float]:
        """How long a task holds its slot at most, for each model that is measured well enough.

        Twice what is long for the model: a slot that ends too early only meets the upstream's own 429.
        """
        longest_s = self._settings.upstream_slot_max_s
        measured = (await self._fresh()).items()
        return {
            model_id: min(max(2 * each.long_s, SHORTEST_SLOT_S), longest_s)
            for model_id, each in measured
            if each.tasks >= ENOUGH_FOR_LONG
        }

    async def first_look_s(self, model_id: str) -> float:
        """Seconds after submission at which the image API is first asked about a quiet task of the model."""
        return (await self.late_first_looks_s()).get(model_id, self._settings.first_look_s)

    async def late_first_looks_s(self) -> dict[str, float]:
        """The same for every model that is left alone for longer than `Settings.first_look_s`."""
        looks = {model_id: each.median_s * FIRST_LOOK_SHARE for model_id, each in (await self._fresh()).items()}
        longest_s = self._settings.reconcile_interval_max_s
        return {
            model_id: min(look_s, longest_s)
            for model_id, look_s in looks.items()
            if min(look_s, longest_s) > self._settings.first_look_s
        }

    async def _fresh(self) -> dict[str, Measured]:
        now_s = time.monotonic()
        if now_s >= self._fresh_until_s:
            # Set before the query, so that others go on with what is known instead of asking beside it.
            self._fresh_until_s = now_s + FRESH_S
            values = {"looked_at": TASKS_LOOKED_AT, "enough": ENOUGH_FOR_MEDIAN}
            rows = await self._database.statement(_MEASURE, values)
            # What was measured before stays for a model that a flood of others has pushed out of the newest tasks.
            self._measured |= {row.model_id: _measured(row) for row in rows}
        return self._measured


def _measured(row: Row[Any]) -> Measured:
    return Measured(row.tasks, row.median_s, row.long_s)


# By primary key alone, which grows with time: no index that every task would have to pay for.
_MEASURE = text(
    """
    SELECT model_id, count(*) AS tasks,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median_s,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS long_s
    FROM (
        SELECT model_id, state, EXTRACT(EPOCH FROM ended_at - submitted_at)::float8 AS seconds
        FROM tasks ORDER BY id DESC LIMIT :looked_at
    ) newest
    WHERE state = 'succeeded' AND seconds >= 0
    GROUP BY model_id HAVING count(*) >= :enough
    """
)
