"""Cost of submitting, reading and listing on a table of 1,000,000 tasks, beside a table of 1,000, in the same run.

Good is flat: at most 1.2 times the cost. Both tables have the same few open tasks; what differs is history, which comes
with its reports, events and idempotency keys. Each table has a database and a gateway of its own, and the rounds
alternate. On the large one every statement of the loops and of callers is explained: none may read a table whole.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from random import Random
from statistics import median
from urllib.parse import urlsplit

import orjson

from bench.http_load import post, send_all
from bench.report import Figure, alternate, median_ratio, show
from bench.stack import Stack, running_stack
from service.db.engine import Database as GatewayDatabase
from service.settings import Settings
from tests.support.database import Database, migrate
from tests.support.gateway import ALPHA_KEY, Gateway, auth
from tests.tasks.query_plans import (
    FILL,
    FILL_THE_REST,
    TASK_ID_BASE,
    explain,
    listings,
    queries,
    whole_table_reads,
)

SMALL, LARGE = 1_000, 1_000_000
ROUNDS = 7
CONNECTIONS = 4
SUBMISSIONS, READS, LISTS = 200, 1000, 200
FLAT_WITHIN = 1.2
ACCEPTED, OK = 202, 200
MANY_SLOTS = {"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "100000"}
ORDER = {"prompt": "a lighthouse in the fog", "model_id": "gpt-image-1", "generations_count": 1}

CLIENTS = ("alpha", "beta", "gamma", "delta", "epsilon")


def main() -> int:
    """Fill both tables, alternate them, explain on the large one."""
    with ExitStack() as resources:
        stack = resources.enter_context(running_stack())
        small = resources.enter_context(_gateway(stack, stack.database, SMALL))
        large = resources.enter_context(_gateway(stack, resources.enter_context(_second_database(stack)), LARGE))
        keys = count()
        measures = {
            f"{what} {rows}": partial(measure, gateway, rows, keys)
            for what, measure in (("submit", _submit), ("read", _read), ("list", _list))
            for gateway, rows in ((small, SMALL), (large, LARGE))
        }
        for measure in measures.values():
            measure()
        found = alternate(ROUNDS, measures)
        read_whole = asyncio.run(_statements_that_read_a_table_whole(large.database))
    figures = [figure for what in ("submit", "read", "list") for figure in _figures(what, found)]
    note = ", ".join(read_whole)
    return show(*figures, Figure("statements that read a whole table", len(read_whole), at_most=0, note=note))


def _figures(what: str, found: dict[str, list[float]]) -> Iterator[Figure]:
    small, large = found[f"{what} {SMALL}"], found[f"{what} {LARGE}"]
    yield Figure(f"{what}, each, {SMALL:,} tasks", median(small) * 1000, " ms")
    yield Figure(f"{what}, {LARGE:,} ÷ {SMALL:,} tasks", median_ratio(large, small), "x", at_most=FLAT_WITHIN)


def _submit(gateway: Gateway, _: int, keys: "count[int]") -> float:
    headers = {**auth(ALPHA_KEY), "Content-Type": "application/json"}
    requests = [
        post(f"{gateway.url}/api/v1/tasks", orjson.dumps(ORDER), headers | {"Idempotency-Key": f"bench-{next(keys)}"})
        for _ in range(SUBMISSIONS)
    ]
    return 1 / send_all(gateway.url, requests, CONNECTIONS).require(ACCEPTED).per_s


def _read(gateway: Gateway, rows: int, keys: "count[int]") -> float:
    """Tasks from all over the history."""
    chance = Random(next(keys))
    # Those below 40 are the open ones, and every fifth belongs to the first client.
    ids = [f"{TASK_ID_BASE}{chance.randrange(8, rows // 5) * 5:012x}" for _ in range(READS)]
    requests = [_get(gateway, f"/api/v1/tasks/{task_id}") for task_id in ids]
    return 1 / send_all(gateway.url, requests, CONNECTIONS).require(OK).per_s


def _list(gateway: Gateway, _: int, keys: "count[int]") -> float:
    requests = [_get(gateway, "/api/v1/tasks?limit=20") for _ in range(LISTS)]
    return 1 / send_all(gateway.url, requests, CONNECTIONS).require(OK).per_s


def _get(gateway: Gateway, path: str) -> bytes:
    parts = urlsplit(gateway.url)
    return f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {ALPHA_KEY}\r\n\r\n".encode()


@contextmanager
def _gateway(stack: Stack, database: Database, rows: int) -> Iterator[Gateway]:
    """A gateway on a database with so many tasks; the open ones are among the first forty."""
    database.execute(FILL, 1, rows, rows, CLIENTS)
    # Nobody waits, so that submissions are sent at once.
    for statement in (FILL_THE_REST, "DELETE FROM tasks WHERE state = 'queued'", "VACUUM ANALYZE"):
        database.execute(statement)
    with replace(stack, database=database).gateway("api", MANY_SLOTS) as gateway:
        yield gateway


@contextmanager
def _second_database(stack: Stack) -> Iterator[Database]:
    """A migrated database beside the stack's own, dropped after the block: it is large."""
    name = f"{urlsplit(stack.database.url).path.lstrip('/')}_large"
    stack.database.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    stack.database.execute(f"CREATE DATABASE {name}")
    database = Database(urlsplit(stack.database.url)._replace(path=f"/{name}").geturl(), stack.database._portal)
    migrate(database.url)
    try:
        yield database
    finally:
        database.close()
        stack.database.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def _statements_that_read_a_table_whole(database: Database) -> list[str]:
    opened = GatewayDatabase(Settings(database_url=database.url))
    try:
        plans = {name: await explain(opened, query) for name, query in (queries() | await listings()).items()}
    finally:
        await opened.close()
    return [name for name, plan in plans.items() if whole_table_reads(plan)]
