"""A recovery whose worker is killed on the way, and the counts that must be exact all the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.journeys.subscribers import path_of
from tests.support.database import Database
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

DELIVERED_OF_TEN = 3

# A day of events, of which a part was delivered to the subscription, a part is dead, and the rest never became known.
EVENTS = """
INSERT INTO events (id, client, type, body)
SELECT gateway_uuid7(now() - interval '20 hours' + n * interval '1 day' / (2 * $1::int)), 'alpha', 'task.succeeded',
    '{"number": ' || n || '}'
FROM generate_series(1, $1::int) AS n
"""
RESULTS = """
INSERT INTO delivery_results (id, client, event_id, subscription_id, state, attempts)
SELECT gateway_uuid7(e.created_at), e.client, e.id, $1::uuid,
    CASE WHEN (e.body::json ->> 'number')::int % 10 < $2 THEN 'delivered' ELSE 'dead' END, 1
FROM events e WHERE (e.body::json ->> 'number')::int % 10 < 6
"""
MISSING = """
SELECT id FROM events e WHERE NOT EXISTS (
    SELECT FROM delivery_results r WHERE r.event_id = e.id AND r.state = 'delivered'
)
"""


@dataclass(frozen=True)
class Recovered:
    """The recovery at its end, the events that were missing before it, and how often each was delivered by it."""

    recovery: dict[str, Any]
    missing: Sequence[UUID]
    times_delivered: dict[UUID, int]
    kills: int

    @property
    def wrong(self) -> list[str]:
        """What is not as it must be."""
        job, made = self.recovery, self.recovery["deliveries_made"]
        found = {
            f"{job['state']} instead of done": job["state"] != "done",
            f"{job['events_looked_at']} of {job['events_total']} events looked at": job["events_looked_at"]
            != job["events_total"],
            f"{made} deliveries made for {len(self.missing)} missing events": made != len(self.missing),
            "not every missing event was delivered": set(self.missing) - self.times_delivered.keys() != set(),
            "an event was delivered that was not missing": self.times_delivered.keys() - set(self.missing) != set(),
            "an event has two deliveries": max(self.times_delivered.values(), default=0) > 1,
        }
        return [sentence for sentence, is_so in found.items() if is_so]


@dataclass(frozen=True)
class KilledRecovery:
    """What it takes: the API, and how a worker is begun."""

    api: Gateway
    start_worker: Callable[[], Gateway]

    @property
    def database(self) -> Database:
        """Of both."""
        return self.api.database

    def run(self, subscription: dict[str, Any], events: int, kill_at: Sequence[float], within_s: float) -> Recovered:
        """Recover the subscription, and kill the worker each time when such a share of the events was looked at."""
        self.database.execute(EVENTS, events)
        self.database.execute(RESULTS, UUID(subscription["id"]), DELIVERED_OF_TEN)
        self.database.execute("ANALYZE")
        missing = [row["id"] for row in self.database.rows(MISSING)]
        begun = self.database.value("SELECT gateway_uuid7(now())")
        started = self.api.alpha.post(path_of(subscription, "recover"), json={"since": "2020-01-01T00:00:00Z"})
        location = started.raise_for_status().headers["Location"]
        worker = self.start_worker()
        for share in kill_at:
            self._wait_until_looked_at(share * events, within_s)
            worker.program.kill()
            # What it was sending comes again when its lease has ended; nobody wants to wait for that here.
            self.database.execute("UPDATE deliveries SET lease_until = now() WHERE claim_id IS NOT NULL")
            worker.start_again()
        recovery = eventually(lambda: self._ended(location), timeout_s=within_s, what="the recovery ends")
        eventually(self._all_is_sent, timeout_s=within_s, what="every delivery is done")
        counted = self.database.rows(
            "SELECT event_id, count(*) AS times FROM delivery_results WHERE id >= $1 GROUP BY event_id", begun
        )
        return Recovered(recovery, missing, {row["event_id"]: row["times"] for row in counted}, len(kill_at))

    def _wait_until_looked_at(self, events: float, within_s: float) -> None:
        looked_at = "SELECT events_looked_at >= $1 AND state = 'running' FROM recoveries"
        eventually(
            lambda: self.database.value(looked_at, int(events)),
            timeout_s=within_s,
            what=f"{events:g} events are reached",
        )

    def _ended(self, location: str) -> dict[str, Any] | None:
        recovery = self.api.alpha.get(location).raise_for_status().json()
        return dict(recovery) if recovery["state"] != "running" else None

    def _all_is_sent(self) -> bool:
        return bool(self.database.value("SELECT count(*) = 0 FROM deliveries"))
