"""Notifications a second of one worker, against a bare loop of the same HTTP client, and claims against pgbench.

The worker is a real process with usual settings: it claims, signs, sends, stores each attempt and writes a log line.
The bare loop posts the same bytes with plain aiohttp, as many at once, to the same receiver; the httpx loop does so
with 64 in flight. Good is half of the bare loop and twenty times httpx. The worker shares its cores with Postgres and
the receiver, so its CPU against the bare loop's, for each notification, is the steadier figure. Claim and completion
alone, without HTTP, are held against pgbench running equivalent statements row by row: good is five times as many.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import aiohttp
import httpx
import uvloop
from pydantic import SecretStr

from bench.callbacks import pgbench_per_s
from bench.delivery_parts import BODY, Port, add_backlog, clear, start_receiver, subscribe
from bench.proc import cpu_s
from bench.report import Figure, alternate, median_ratio, show
from bench.stack import Stack, running_stack
from service.db.engine import BY_INDEX, BY_INDEX_UNFLUSHED
from service.db.line import Line
from service.settings import Settings
from service.subscribers.claims import Ask, claim_due
from service.subscribers.outcomes import Outcome, Stored, store_outcomes
from service.subscribers.pace import Rooms
from service.subscribers.retry import Answer, Delivered
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

SUBSCRIPTIONS, EVENTS_EACH = 100, 150
ROUNDS = 5
AT_ONCE = 256
HTTPX_AT_ONCE, HTTPX_POSTS = 64, 300
BATCH = 256
PEER_CLIENTS, PEER_S = 16, 3
HEADERS = {
    "webhook-id": f"evt_{'0' * 32}",
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1," + "A" * 43 + "=",
    "Content-Type": "application/json",
}

# One row at a time, what the two statements do for hundreds: take the oldest, read what to send, record the attempt.
PEER_SCRIPT = """
BEGIN;
UPDATE deliveries SET claim_id = gen_random_uuid(), attempts = attempts + 1, lease_until = now() + interval '30 s'
    WHERE id = (SELECT id FROM deliveries WHERE claim_id IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id AS delivery, event_id AS event, subscription_id AS subscription \\gset
SELECT e.body, s.url, s.secret FROM events e, subscriptions s WHERE e.id = :event AND s.id = :subscription;
COMMIT;
BEGIN;
DELETE FROM deliveries WHERE id = :delivery;
INSERT INTO delivery_results (id, client, event_id, subscription_id, state, attempts)
    VALUES (:delivery, 'client', :event, :subscription, 'delivered', 1);
INSERT INTO delivery_attempts (id, delivery_id, number, duration_ms, status, answer)
    VALUES (gateway_uuid7(now()), :delivery, 1, 3, 204, '');
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Round:
    """Notifications a second, and CPU seconds of the sending process for each (0 where it is not measured)."""

    per_s: float
    cpu_s: float = 0.0


def main() -> int:
    """Alternate the worker, the bare loop and httpx; then our claims and pgbench."""
    with running_stack() as stack, TemporaryDirectory() as folder:
        port = start_receiver(stack.programs)
        clear(stack.database)
        subscribe(stack.database, port.hook, 1, SUBSCRIPTIONS)
        with stack.gateway("worker") as worker:
            _worker(stack, worker)
            sent = alternate(
                ROUNDS,
                {
                    "worker": lambda: _worker(stack, worker),
                    "bare": lambda: uvloop.run(_bare(port)),
                    "httpx": lambda: uvloop.run(_httpx(port)),
                },
            )
        script = Path(folder) / "row_by_row.sql"
        script.write_text(PEER_SCRIPT)
        claimed = alternate(
            3, {"ours": lambda: uvloop.run(_claims(stack)), "pgbench": lambda: _row_by_row(stack, script)}
        )
    return _report(sent, claimed)


def _report(sent: dict[str, list[Round]], claimed: dict[str, list[Round]]) -> int:
    def ratio(found: dict[str, list[Round]], ours: str, theirs: str) -> float:
        return median_ratio([each.per_s for each in found[ours]], [each.per_s for each in found[theirs]])

    def rate(name: str) -> float:
        return median(each.per_s for each in (sent | claimed)[name])

    cpu = median_ratio([each.cpu_s for each in sent["bare"]], [each.cpu_s for each in sent["worker"]])
    worker_cpu_us = median(each.cpu_s for each in sent["worker"]) * 1e6
    return show(
        Figure("notifications a second, worker", rate("worker"), "/s"),
        Figure(f"posts a second, plain aiohttp, {AT_ONCE} at once", rate("bare"), "/s"),
        Figure(f"posts a second, httpx, {HTTPX_AT_ONCE} at once", rate("httpx"), "/s"),
        Figure("worker ÷ plain aiohttp", ratio(sent, "worker", "bare"), "x", at_least=0.5),
        Figure("worker ÷ httpx", ratio(sent, "worker", "httpx"), "x", at_least=20),
        Figure("CPU of a notification, worker", worker_cpu_us, " µs"),
        Figure("CPU of a post, plain aiohttp ÷ worker", cpu, "x", note="(the rate's ratio, were Postgres elsewhere)"),
        Figure("claimed and completed a second, without HTTP", rate("ours"), "/s"),
        Figure(f"the same row by row, pgbench, {PEER_CLIENTS} clients", rate("pgbench"), "/s"),
        Figure("claim and completion ÷ pgbench", ratio(claimed, "ours", "pgbench"), "x", at_least=5),
    )


def _worker(stack: Stack, worker: Gateway) -> Round:
    """From the commit of the backlog until the last outcome is stored."""
    before_s, began_s = cpu_s(worker.program.pid), add_backlog(stack.database, EVENTS_EACH)
    eventually(lambda: _is_done(stack), timeout_s=120, what="everything is delivered")
    count = SUBSCRIPTIONS * EVENTS_EACH
    return Round(count / (time.monotonic() - began_s), (cpu_s(worker.program.pid) - before_s) / count)


def _is_done(stack: Stack) -> bool:
    return not stack.database.value("SELECT EXISTS (SELECT FROM deliveries)")


async def _bare(port: Port) -> Round:
    left = iter(range(SUBSCRIPTIONS * EVENTS_EACH))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def sender() -> None:
            for _ in left:
                async with session.post(port.hook, data=BODY, headers=HEADERS) as answer:
                    await answer.read()

        before_s, began_s = time.process_time(), time.monotonic()
        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    count = SUBSCRIPTIONS * EVENTS_EACH
    return Round(count / (time.monotonic() - began_s), (time.process_time() - before_s) / count)


async def _httpx(port: Port) -> Round:
    left = iter(range(HTTPX_POSTS))
    limits = httpx.Limits(max_connections=HTTPX_AT_ONCE, max_keepalive_connections=HTTPX_AT_ONCE)
    async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=60) as client:

        async def sender() -> None:
            for _ in left:
                await client.post(port.hook, content=BODY, headers=HEADERS)

        began_s = time.monotonic()
        await asyncio.gather(*(sender() for _ in range(HTTPX_AT_ONCE)))
    return Round(HTTPX_POSTS / (time.monotonic() - began_s))


async def _claims(stack: Stack) -> Round:
    """Two connections, as in the worker: the next batch is claimed while the last one is stored."""
    await asyncio.to_thread(add_backlog, stack.database, EVENTS_EACH)
    settings = Settings(database_url=SecretStr(stack.database.url))
    claiming, completing = Line(settings, BY_INDEX_UNFLUSHED), Line(settings, BY_INDEX)
    ask = Ask(Rooms(BATCH, (), (), (), of_others=BATCH, of_untrusted=BATCH, of_troubled=BATCH))
    taken = Answer(204, None, None, duration_ms=3)
    storing = asyncio.create_task(asyncio.sleep(0, Stored(frozenset(), frozenset())))
    count, began_s = 0, time.monotonic()
    while claims := (await claim_due(claiming, settings, ask)).claims:
        assert not (await storing).lost
        count += len(claims)
        outcomes = [Outcome(each, Delivered(), taken) for each in claims]
        storing = asyncio.create_task(store_outcomes(completing, settings, outcomes))
    assert not (await storing).lost
    took_s = time.monotonic() - began_s
    await claiming.close()
    await completing.close()
    assert count == SUBSCRIPTIONS * EVENTS_EACH, count
    return Round(count / took_s)


def _row_by_row(stack: Stack, script: Path) -> Round:
    """pgbench takes what it gets done in a few seconds of a backlog that outlasts them."""
    add_backlog(stack.database, EVENTS_EACH)
    per_s = pgbench_per_s(stack.database, script, PEER_CLIENTS, PEER_S)
    assert stack.database.value("SELECT count(*) FROM deliveries") > 0, "the backlog did not last"
    stack.database.execute("DELETE FROM deliveries")
    return Round(per_s)
