"""The poll budget as a row: spent once by whoever comes first, refilled by the database's clock."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from pydantic import SecretStr
from sqlalchemy import TextClause, text

from service.errors import UpstreamUnavailable
from service.resources import Resources, open_resources
from service.settings import Settings
from service.tasks import due, poll_budget
from service.tasks.poll_budget import PollBudget
from tests.support.database import Database

PER_S = 5.0
LEASE_S, MAX_AGE_S = 90.0, 86_400.0
FILL = """
INSERT INTO tasks (id, client, account, state, model_id, prompt, generations_count, model_parameters, assets, metadata,
    created_at, submitted_at, upstream_task_id, lease_until, poll_at, deadline_at)
SELECT gen_random_uuid(), 'alpha', 'default', $1, 'seedream', 'A cat', 1, '{}', '[]', '{}', now(), now(),
    CASE WHEN $1 = 'processing' THEN gen_random_uuid()::text END, now() - interval '1 s', now() + $3, now() + $4
FROM generate_series(1, $2::int)
"""


def settings_of(database: Database) -> Settings:
    return Settings(database_url=SecretStr(database.url), reconcile_polls_per_s=PER_S)


@pytest.fixture
async def processes(quiet_database: Database) -> AsyncIterator[list[Resources]]:
    """What three processes of one account hold."""
    async with AsyncExitStack() as stack:
        settings = settings_of(quiet_database)
        yield [await stack.enter_async_context(open_resources(settings)) for _ in range(3)]


def fill(database: Database, state: str, count: int, *, due_in_s: float = -1.0, ends_in_s: float = 600.0) -> None:
    """Tasks in that state; those that are processing have an upstream id."""
    filled = FILL.replace("$3", f"interval '{due_in_s} s'").replace("$4", f"interval '{ends_in_s} s'")
    database.execute(filled, state, count)


async def test_tokens_are_spent_once_however_many_claim_at_once(
    processes: list[Resources], quiet_database: Database
) -> None:
    fill(quiet_database, "processing", 100)
    budgets = [PollBudget(resources) for resources in processes]
    await budgets[0].claim(LEASE_S, 0)

    began_s = time.monotonic()
    claims = await asyncio.gather(*(budget.claim(LEASE_S, 32) for budget in budgets * 8))
    most = PER_S + PER_S * (time.monotonic() - began_s) + 1

    claimed = [task.id for claim in claims for task in claim.tasks]
    assert PER_S <= len(claimed) <= most
    assert len(set(claimed)) == len(claimed)


async def test_an_account_that_nobody_knew_has_a_full_budget_and_not_more(
    processes: list[Resources], quiet_database: Database
) -> None:
    fill(quiet_database, "processing", 20)

    claimed = await PollBudget(processes[0]).claim(LEASE_S, 32)

    assert len(claimed.tasks) == PER_S
    assert quiet_database.value("SELECT count(*) FROM tasks WHERE poll_at < now()") == 20 - PER_S


async def test_an_empty_budget_says_when_there_is_a_token_again(
    processes: list[Resources], quiet_database: Database
) -> None:
    fill(quiet_database, "processing", 20)
    first, second = PollBudget(processes[0]), PollBudget(processes[1])

    spent = await first.claim(LEASE_S, 32)
    nothing = await second.claim(LEASE_S, 32)

    assert len(spent.tasks) == PER_S
    assert 0 < nothing.next_token_in_s <= 1 / PER_S
    assert not await second.has_token()


async def test_a_listing_may_run_up_a_debt_that_is_paid_off_first(
    processes: list[Resources], quiet_database: Database
) -> None:
    fill(quiet_database, "processing", 20)
    budget = PollBudget(processes[0])

    for _ in range(10):
        await budget.owe_listing()
    claimed = await budget.claim(LEASE_S, 32)

    assert claimed.tasks == []
    assert claimed.next_token_in_s > 2.0


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_patience_that_was_asked_for_binds_every_process(
    status: int, processes: list[Resources], quiet_database: Database
) -> None:
    fill(quiet_database, "processing", 20)
    asked, other = PollBudget(processes[0]), PollBudget(processes[1])

    await asked.rest_if_asked(UpstreamUnavailable("wait", upstream_status=status, retry_after_s=60.0))
    await asked.rest_if_asked(UpstreamUnavailable("wait", upstream_status=status, retry_after_s=1.0))
    claimed = await other.claim(LEASE_S, 32)

    assert claimed.tasks == []
    assert 59 < claimed.next_token_in_s < 61


async def test_a_failure_that_may_be_about_one_task_alone_stops_nobody(
    processes: list[Resources], quiet_database: Database
) -> None:
    fill(quiet_database, "processing", 1)
    budget = PollBudget(processes[0])

    await budget.rest_if_asked(UpstreamUnavailable("broken", upstream_status=500, retry_after_s=60.0))

    assert len((await budget.claim(LEASE_S, 32)).tasks) == 1


STATES = ["submitting", "unknown", "queued", "processing"]


@pytest.mark.parametrize("state", STATES)
async def test_what_the_clock_settles_costs_no_token(
    state: str, processes: list[Resources], quiet_database: Database
) -> None:
    fill(quiet_database, state, 3, ends_in_s=-1)
    budget = PollBudget(processes[0])
    await budget.rest(600)

    timed = await due.claim_without_asking(processes[0].db, MAX_AGE_S, LEASE_S, 32)

    assert [task.state for task in timed] == [state] * 3


async def test_a_queued_task_is_looked_at_at_its_deadline_and_not_before(
    processes: list[Resources], quiet_database: Database
) -> None:
    fill(quiet_database, "queued", 1)

    await due.claim_without_asking(processes[0].db, MAX_AGE_S, LEASE_S, 32)

    assert quiet_database.value("SELECT poll_at = deadline_at FROM tasks")


PLANS: dict[str, TextClause] = {
    "what is to be asked about": poll_budget._CLAIM,
    "what the clock settles": due._CLAIM_WITHOUT_ASKING,
    "what is put off": due._PUT_OFF_YOUNG,
}


@pytest.mark.parametrize("sql", PLANS.values(), ids=PLANS)
async def test_among_50000_tasks_an_index_finds(
    sql: TextClause, processes: list[Resources], quiet_database: Database
) -> None:
    fill(quiet_database, "processing", 50_000, due_in_s=600)
    fill(quiet_database, "processing", 50)
    quiet_database.execute("ANALYZE tasks")
    values = {"account": "default", "per_s": PER_S, "burst": PER_S, "lease_s": LEASE_S, "most": 32}
    values |= {"max_age_s": MAX_AGE_S, "models": ["seedream"], "looks_s": [600.0]}
    named = {name: value for name, value in values.items() if name in sql._bindparams}

    plan = "\n".join(row[0] for row in await processes[0].db.statement(text(f"EXPLAIN {sql.text}"), named))

    assert "tasks_poll_idx" in plan
    assert "Seq Scan on tasks" not in plan, plan
