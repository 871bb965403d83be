"""The statements that read history after the fact, with values like those of a running gateway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Row, TextClause

from service.db import partitions
from service.db.ids import first_id, last_id, new_id
from service.subscribers import feed, history, recover, recover_loop, resend, stats
from service.subscribers.history import DeliveryFilter
from tests.tasks.query_plans import Query

EVENTS = 50_000
CLIENTS = 5
A_TASK = UUID("01900000-0000-7000-8000-000000000064")
A_SUBSCRIPTION = UUID("01900000-0000-7000-9000-000000000001")
NOW = datetime.now(UTC)

# Every client has 20 subscriptions, 10,000 events of the eight days before today, and for each two deliveries: nine in
# ten are done with one attempt each, the others wait.
FILL = f"""
INSERT INTO subscriptions (id, client, url, event_types, secret, description)
SELECT ('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'client-' || n % {CLIENTS}, 'http://10.0.0.7/',
    ARRAY['task.succeeded'], '', '' FROM generate_series(1, {CLIENTS * 20}) AS n;
INSERT INTO tasks (id, client, account, state, model_id, prompt, generations_count, model_parameters, assets, metadata)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'client-' || n % {CLIENTS}, 'default',
    'succeeded', 'model', 'a lighthouse', 1, '{{}}', '[]', '{{}}' FROM generate_series(1, {EVENTS}) AS n;
INSERT INTO events (id, client, type, task_id, body, created_at, written_by)
SELECT gateway_uuid7(at), client, CASE WHEN random() < 0.9 THEN 'task.succeeded' ELSE 'task.failed' END, id, '{{}}', at,
    (SELECT txid_current()) - 1
FROM (SELECT *, date_trunc('day', now(), 'UTC') - random() * interval '8 days' AS at FROM tasks) AS t;
CREATE TEMP TABLE made AS
SELECT gateway_uuid7(e.created_at) AS id, e.client, e.id AS event_id, e.created_at, random() < 0.1 AS waits, s.id AS sub
FROM events e CROSS JOIN LATERAL (
    SELECT id FROM subscriptions WHERE client = e.client AND e.id IS NOT NULL ORDER BY random() LIMIT 2
) s;
INSERT INTO deliveries (id, client, event_id, subscription_id) SELECT id, client, event_id, sub FROM made WHERE waits;
INSERT INTO delivery_results (id, client, event_id, subscription_id, state, attempts, created_at)
SELECT id, client, event_id, sub, 'delivered', 1, created_at FROM made WHERE NOT waits;
INSERT INTO delivery_attempts (id, delivery_id, number, duration_ms, status)
SELECT gateway_uuid7(created_at), id, 1, 40, 204 FROM made WHERE NOT waits;
DROP TABLE made;
"""


@dataclass
class Recorder:
    """Stands where a function expects the database, keeps what it would run, and finds nothing."""

    ran: list[Query] = field(default_factory=list)

    async def statement(self, sql: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        assert isinstance(sql, TextClause)
        self.ran.append(Query(sql, values or {}))
        return [Nothing()]  # type: ignore[list-item]


class Nothing:
    """A row in which every column is null."""

    def __getattr__(self, name: str) -> None:
        return None


async def listings() -> dict[str, Query]:
    """The lists of deliveries that clients ask for, by what they are narrowed to."""
    cursor = first_id(NOW - timedelta(days=3))
    narrowed = {
        "first page": (DeliveryFilter(), None),
        "later page": (DeliveryFilter(), cursor),
        "of a subscription": (DeliveryFilter(subscription_id=A_SUBSCRIPTION), None),
        "of an event": (DeliveryFilter(event_id=new_id()), None),
        "of a task": (DeliveryFilter(task_id=A_TASK), None),
        "of a kind of event": (DeliveryFilter(event_type="task.failed"), None),
        "dead": (DeliveryFilter(state="dead"), None),
        "pending": (DeliveryFilter(state="pending"), None),
        "of a time": (
            DeliveryFilter(created_after=NOW - timedelta(days=5), created_before=NOW - timedelta(days=4)),
            None,
        ),
    }
    found = {}
    for name, (wanted, before) in narrowed.items():
        recorder = Recorder()
        await history.list_deliveries(recorder, "client-1", wanted, before, 20)  # type: ignore[arg-type]
        found[f"list, {name}"] = recorder.ran[0]
    return found


def queries() -> dict[str, Query]:
    """By what each is for."""
    subscription = {"client": "client-1", "subscription_id": A_SUBSCRIPTION}
    two_days = {"first": first_id(NOW - timedelta(days=2)), "last": last_id(NOW)}
    span = subscription | two_days | {"only_failed": True, "reached_by": -1, "reached": two_days["first"]}
    place = {"client": "client-1", "written_by": 5, "id": new_id(), "floor": first_id(NOW - timedelta(days=1))}
    page = place | {"event_type": None, "looked_at": 21, "limit": 21}
    start = span | {"id": new_id(), "since": NOW - timedelta(days=2), "until": NOW}
    portion = span | {"id": new_id(), "most": 1000, "per_s": 500.0}
    event = {"event_id": new_id(), "subscription_id": A_SUBSCRIPTION}
    return {
        "get a delivery": Query(history._GET, {"id": new_id(), "client": "client-1"}),
        "attempts of a delivery": Query(
            history._ATTEMPTS, {"id": new_id(), "since": first_id(NOW - timedelta(days=1)), "most": 100}
        ),
        "feed": Query(feed._READ, page),
        "feed from the oldest": Query(feed._READ, page | {"written_by": -1, "id": UUID(int=0), "floor": UUID(int=0)}),
        "feed of a kind of event": Query(feed._READ, page | {"event_type": "task.failed", "looked_at": 5000}),
        "feed of a task": Query(feed._READ_OF_TASK, page | {"task_id": A_TASK}),
        "news for waiters": Query(feed._NEWS, {"clients": ["client-1", "client-2"], "floor": place["floor"]}),
        "begin of a recovery": Query(recover._START, start),
        "portion of a recovery": Query(recover_loop._CARRY_ON, portion),
        "portion of a recovery of all": Query(recover_loop._CARRY_ON, portion | {"only_failed": False}),
        "backlog of a subscription": Query(
            recover_loop._UNDONE, {"subscription_id": A_SUBSCRIPTION, "most": recover_loop.MOST_UNDONE}
        ),
        "resend what waits": Query(resend._DUE_NOW, event),
        "resend what is under way": Query(resend._UNDER_WAY, event),
        "resend what is done": Query(resend._AGAIN, event),
        "figures of a subscription": Query(stats._COUNTS, subscription | two_days),
        "sample of a subscription": Query(stats._SAMPLE, subscription | two_days | {"most": 1000}),
    }


def whole_reads(steps: Sequence[Mapping[str, Any]], day_bounds: Sequence[str]) -> list[str]:
    """The steps that read every row of a table that grows, or of one of its full days."""
    growing = ("tasks", "events", "deliveries", "delivery_results", "delivery_attempts")
    return [
        f"{step['Node Type']} on {step['Relation Name']}"
        for step in steps
        if step["Node Type"] == "Seq Scan" and (step["Relation Name"] in growing or step["Relation Name"] in day_bounds)
    ]


def tables() -> tuple[str, ...]:
    """Those that have partitions."""
    return tuple(table.name for table in partitions.daily_tables(partitions.Settings()))
