"""What the benchmarks of notifications share: subscriptions, a receiver, events at a steady rate, their arrival."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import aiohttp
import asyncpg
import orjson

from bench.stack import Stack
from service.db.ids import new_id
from service.db.listen import DELIVERIES
from service.subscribers.fan_out import FAN_OUT_SQL
from service.subscribers.signature import new_signing_secret, webhook_id
from tests.support.database import Database
from tests.support.processes import Programs

TABLES = ("deliveries", "events", "delivery_results", "delivery_attempts", "subscriptions")
# As large as the event of a finished task.
BODY = orjson.dumps({"type": "task.succeeded", "data": {"prompt": "a lighthouse in the fog", "filling": "x" * 1200}})

_SUBSCRIBE = """
INSERT INTO subscriptions (id, client, url, event_types, secret, description)
SELECT gateway_uuid7(now()), 'client-' || n, $1, ARRAY['task.succeeded'], $2, ''
FROM generate_series($3::int, $4::int) n
"""
_BACKLOG = """
WITH event AS (
    INSERT INTO events (id, client, type, body)
    SELECT gateway_uuid7(now()), s.client, 'task.succeeded', $1 FROM subscriptions s, generate_series(1, $2::int)
    RETURNING id, client
), made AS (
    INSERT INTO deliveries (id, client, event_id, subscription_id)
    SELECT gateway_uuid7(now()), e.client, e.id, s.id FROM event e JOIN subscriptions s ON s.client = e.client
)
SELECT pg_notify($3, '')
"""
_NOTIFY = "SELECT pg_notify($1, '')"
_EMIT = f"""
WITH event AS (
    INSERT INTO events (id, client, type, body) VALUES ($1, $2, 'task.succeeded', $3)
    RETURNING id, client, type, CAST(NULL AS uuid) AS callback_subscription_id, CAST(NULL AS text) AS model_id,
        CAST(NULL AS text) AS client_reference, CAST(NULL AS jsonb) AS metadata
), made AS ({FAN_OUT_SQL})
SELECT
"""


@dataclass(frozen=True, slots=True)
class Port:
    """A receiver process on loopback."""

    number: int

    @property
    def hook(self) -> str:
        """Answers at once."""
        return f"http://127.0.0.1:{self.number}/hook"

    @property
    def hang(self) -> str:
        """Never answers."""
        return f"http://127.0.0.1:{self.number}/hang"

    async def arrivals(self) -> dict[str, float]:
        """When each notification came to `hook` since this was last asked, by webhook-id, as time.monotonic()."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.number}/arrivals") as answer,
        ):
            return dict(orjson.loads(await answer.read()))


def start_receiver(programs: Programs) -> Port:
    """A receiver that ends with the other programs."""
    program = programs.start("receiver", ["bench.receiver"], {})
    return Port(int(program.wait_for_line(r"listening on (\d+)")[1]))


def clear(database: Database) -> None:
    """Forget all subscriptions and what was sent."""
    for table in TABLES:
        database.execute(f"DELETE FROM {table}")


def subscribe(database: Database, url: str, first: int, last: int) -> None:
    """One subscription each of the clients with these numbers."""
    database.execute(_SUBSCRIBE, url, new_signing_secret(), first, last)


def add_backlog(database: Database, events_each: int) -> float:
    """So many events of every client, due now, in one commit; when it had returned, as time.monotonic().

    The commit rings, as the gateway does after each of its own: else a round would begin with a wait for the polling
    floor. What is vacuumed are the dead rows of the round before, ours or the peer's, for which none is to pay.
    """
    database.execute("VACUUM deliveries")
    database.execute(_BACKLOG, BODY.decode(), events_each, DELIVERIES)
    committed_at_s = time.monotonic()
    database.execute("ANALYZE deliveries")
    return committed_at_s


@dataclass(frozen=True, slots=True)
class Emitted:
    """One event: whose it was, and when its commit had returned, as time.monotonic()."""

    id: UUID
    client: int
    committed_at_s: float


async def emit_steadily(stack: Stack, clients: int, per_s: float, for_s: float) -> list[Emitted]:
    """Commit events of the clients in turn at a rate, and notify after each commit as the gateway's bell does."""
    connection = await asyncpg.connect(stack.database.url)
    rung = asyncio.Event()
    bell = asyncio.create_task(_ring(stack.database.url, rung))
    emitted = []
    began_s = time.monotonic()
    for number in range(int(per_s * for_s)):
        await asyncio.sleep(began_s + number / per_s - time.monotonic())
        event_id, client = new_id(), 1 + number % clients
        await connection.execute(_EMIT, event_id, f"client-{client}", BODY.decode())
        emitted.append(Emitted(event_id, client, time.monotonic()))
        rung.set()
    bell.cancel()
    with suppress(asyncio.CancelledError):
        await bell
    await connection.execute(_NOTIFY, DELIVERIES)  # for the last ones, if the bell had not come to them
    await connection.close()
    return emitted


async def _ring(url: str, rung: asyncio.Event) -> None:
    connection = await asyncpg.connect(url)
    try:
        while True:
            await rung.wait()
            rung.clear()
            await connection.execute(_NOTIFY, DELIVERIES)
    finally:
        connection.terminate()


async def latencies_s(port: Port, emitted: Sequence[Emitted]) -> list[float]:
    """From commit to receipt of each event, sorted; waits a while for the last ones. Fails when some do not come."""
    arrived: dict[str, float] = {}
    wanted = {webhook_id(each.id): each.committed_at_s for each in emitted}
    give_up_s = time.monotonic() + 30
    while wanted.keys() - arrived.keys():
        assert time.monotonic() < give_up_s, f"{len(wanted.keys() - arrived.keys())} notifications did not arrive"
        arrived |= await port.arrivals()
        await asyncio.sleep(0.1)
    return sorted(arrived[name] - committed_at_s for name, committed_at_s in wanted.items())


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of the sorted values does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
