"""The statements that many callers or every loop run on the table of tasks, and what EXPLAIN says of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Executable, Row, TextClause, TextualSelect, text

from service.db.engine import Database
from service.tasks import (
    accounts,
    begin,
    dispatch,
    due,
    durations,
    janitor,
    poll_budget,
    queue_place,
    search,
    store,
    upstream_view,
)
from service.tasks import unanswered as unanswered_requests
from service.tasks.store import TaskFilter, list_tasks

CLIENTS = ("client-0", "client-1", "client-2", "client-3", "client-4")
TASK_ID_BASE = "01900000-0000-7000-8000-"
A_TASK = UUID(f"{TASK_ID_BASE}{100:012x}")
A_WAITING_TASK = UUID(f"{TASK_ID_BASE}{10:012x}")

# Of every $3 tasks 20 wait, 5 are lost, 15 run, of which 5 are to be asked about; all others have ended.
# They belong to the clients in $4 in turn.
FILL = f"""
INSERT INTO tasks (id, client, account, state, version, attempt, model_id, prompt, generations_count, model_parameters,
    assets, metadata, client_reference, upstream_task_id, estimated_credits, credits, images, created_at, submitted_at,
    ended_at, claim_id, slot_until, poll_at)
SELECT ('{TASK_ID_BASE}' || lpad(to_hex(n), 12, '0'))::uuid, ($4::text[])[1 + n % cardinality($4::text[])], 'default',
    CASE WHEN place < 20 THEN 'queued' WHEN place < 25 THEN 'unknown' WHEN place < 40 THEN 'processing'
        ELSE 'succeeded' END,
    3, 1, 'model-' || n % 7, 'a lighthouse in the fog, number ' || n, 1, '{{}}', '[]', '{{}}', 'order-' || n,
    CASE WHEN place >= 25 THEN 'upstream-' || n END, 980, 980, '[]',
    now() - interval '1 day', now() - interval '1 day',
    CASE WHEN place >= 40 THEN now() - interval '23 hours' END, gen_random_uuid(),
    CASE WHEN place BETWEEN 20 AND 39 THEN now() + interval '1 hour' END,
    CASE WHEN place < 30 THEN now() - interval '1 minute' WHEN place < 40 THEN now() + interval '1 hour' END
FROM (SELECT n, n % $3::int AS place FROM generate_series($1::int, $2::int) AS n) AS numbered
"""

# What comes with them: a report of each end, two events, the key of each request, stored assets of those that wait.
FILL_THE_REST = """
INSERT INTO reports (id, task_id, attempt, source, body, outcome)
SELECT gen_random_uuid(), id, 1, 'callback', '{}', 'moved' FROM tasks WHERE state = 'succeeded';
INSERT INTO events (id, client, type, task_id, body)
SELECT gen_random_uuid(), client, 'task.' || word, id, '{}'
FROM tasks, unnest(ARRAY['processing', 'succeeded']) AS word;
INSERT INTO idempotency_keys (client, route, key, fingerprint, task_id, created_at)
SELECT client, 'createTask', client_reference, '', id, now() - interval '20 hours' FROM tasks;
INSERT INTO unanswered_requests (task_id, client, route, fingerprint, waiter, waiter_until, created_at)
SELECT id, client, 'createTask', client_reference::bytea, id, now() - interval '1 hour', now() - interval '1 hour'
FROM tasks;
INSERT INTO asset_chunks (task_id, asset_number, chunk_number, content)
SELECT id, 0, n, '' FROM (SELECT id FROM tasks LIMIT 2000) AS few, generate_series(0, 4) AS n;
INSERT INTO accounts (name) VALUES ('default');
"""


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as it is run, with values like those of a running gateway."""

    sql: TextClause | TextualSelect
    values: Mapping[str, Any]


def queries() -> dict[str, Query]:
    """By what each is for."""
    account = {"account": "default"}
    client = account | {"client": "client-1"}
    ages = {"max_age_s": 86_400.0, "lease_s": 90.0, "most": 20}
    budget = {"per_s": 5.0, "burst": 5.0}
    pick = {"claim_id": A_TASK, "free": 20, "lease_s": 150.0, "slot_s": 3600.0, "slots_s": {}}
    asked = {"route": "createTask", "fingerprint": b"order-1", "waiter": A_TASK, "lease_s": 15.0}
    looks = {"models": ["model-1"], "looks_s": [30.0], "max_age_s": 86_400.0, "most": 20}
    return {
        "claim for dispatch": Query(dispatch._PICK, account | pick),
        "is anything waiting": Query(dispatch._IS_WAITING, account),
        "is anything waiting, asked before a submission": Query(begin._WAITING, account),
        "count of slots": Query(accounts._COUNT, account),
        "count of the queue": Query(begin._QUEUE, client),
        "a poll in the image API's form": Query(upstream_view._SHOW, {"id": A_TASK, "client": "client-1"}),
        "a page of the image API's list": Query(upstream_view._PAGE, {"client": "client-1", "limit": 20, "offset": 40}),
        "place in the queue": Query(queue_place._PLACE, account | {"id": A_WAITING_TASK}),
        "is anything due": Query(due._IS_ANY_DUE, {}),
        "due by the clock": Query(due._CLAIM_WITHOUT_ASKING, ages),
        "due for a poll": Query(poll_budget._CLAIM, account | ages | budget),
        "young tasks put off": Query(due._PUT_OFF_YOUNG, looks),
        "lost submissions": Query(search._LOST, account | {"most": 501}),
        "ids that are ours": Query(search._OURS, account | {"ids": ["upstream-30", "nobody's"]}),
        "versions for waiters": Query(store._VERSIONS, {"ids": [A_TASK]}),
        "measured durations": Query(durations._MEASURE, {"looked_at": 5000, "enough": 5}),
        "a request joins": Query(unanswered_requests._TAKE, client | asked | {"left": [A_TASK], "window_s": 7200.0}),
        "waiters that wait on": Query(unanswered_requests._RENEW, {"waiters": [A_TASK], "lease_s": 15.0}),
        "a waiter that leaves": Query(unanswered_requests._RELEASE, {"waiter": A_TASK}),
        "answered requests": Query(unanswered_requests._FORGET, {"waiters": [A_TASK]}),
        "an uncharged task's request": Query(unanswered_requests._FORGET_TASK, {"task_id": A_TASK}),
        "requests to forget": Query(unanswered_requests.FORGET_OLD, {"life_s": 86_400.0, "most": 1000}),
        "keys to forget": Query(janitor._KEYS, {"life_s": 86_400.0, "most": 1000}),
        "assets to forget": Query(janitor._ASSETS, {"keep_s": 86_400.0, "most": 100}),
    }


@dataclass
class Recorder:
    """Stands where a function expects the database, keeps what it would run, and finds nothing."""

    ran: list[Query] = field(default_factory=list)

    async def statement(self, sql: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        assert isinstance(sql, TextClause)
        self.ran.append(Query(sql, values or {}))
        return ()


async def listings() -> dict[str, Query]:
    """The lists that clients ask for, by what they are narrowed to."""
    narrowed = {
        "first page": (TaskFilter(), None),
        "later page": (TaskFilter(), A_TASK),
        "by state": (TaskFilter(state="succeeded"), None),
        "by reference": (TaskFilter(client_reference="order-1"), None),
    }
    found = {}
    for name, (wanted, cursor) in narrowed.items():
        recorder = Recorder()
        await list_tasks(recorder, "client-1", wanted, cursor, 20)  # type: ignore[arg-type]
        found[f"list, {name}"] = recorder.ran[0]
    return found


async def explain(database: Database, query: Query) -> dict[str, Any]:
    """The plan that Postgres makes for these values."""
    clause = query.sql.element if isinstance(query.sql, TextualSelect) else query.sql
    assert isinstance(clause, TextClause)
    sql = text(f"EXPLAIN (FORMAT JSON) {clause.text}").bindparams(*clause.compile().binds.values())
    rows = await database.statement(sql, query.values)
    plan = rows[0][0]
    return dict((orjson.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The plan's steps, outermost first."""
    yield plan
    for step in plan.get("Plans", ()):
        yield from nodes(step)


def whole_table_reads(plan: Mapping[str, Any]) -> list[str]:
    """The steps that read every row of a table that grows."""
    growing = {"tasks", "events", "reports", "deliveries", "idempotency_keys", "asset_chunks", "ledger"}
    growing |= {"unanswered_requests"}
    return [
        f"{step['Node Type']} on {step['Relation Name']}"
        for step in nodes(plan)
        if step["Node Type"] == "Seq Scan" and step["Relation Name"] in growing
    ]
