"""A line of one's own: it opens when needed and anew when lost, and says clearly when Postgres is away."""

import asyncio
import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from service.db.engine import BY_INDEX, BY_INDEX_UNFLUSHED, session_settings
from service.db.line import Line
from service.errors import Unavailable
from service.settings import Settings
from service.subscribers.lines import open_lines
from tests.db.test_prepared_statements import KEPT
from tests.support.database import Database
from tests.support.postgres import ROOT
from tests.support.waiting import eventually_async

WHO = text("SELECT pg_backend_pid() AS pid")
SLEEP = text("SELECT pg_sleep(30) WHERE CAST(:really AS bool)")


@pytest.fixture
async def line(quiet_database: Database) -> AsyncIterator[Line]:
    opened = Line(Settings(database_url=SecretStr(quiet_database.url), database_statement_timeout_s=0.2), BY_INDEX)
    yield opened
    await opened.close()


async def server_process(line: Line) -> int:
    return int((await line.statement(WHO, {}))[0]["pid"])


async def test_a_name_may_stand_in_the_text_several_times(line: Line) -> None:
    sum_of = text("SELECT CAST(:a AS int) + CAST(:b AS int) + :a AS sum, now()::text AS at")

    assert (await line.statement(sum_of, {"a": 2, "b": 3}))[0]["sum"] == 7


async def test_statements_take_turns_on_one_connection(line: Line) -> None:
    assert len(set(await asyncio.gather(*(server_process(line) for _ in range(10))))) == 1


async def test_after_its_connection_was_cut_it_says_so_once_and_then_has_another(
    line: Line, quiet_database: Database
) -> None:
    before = await server_process(line)
    quiet_database.execute(f"SELECT pg_terminate_backend({before}, 5000)")

    with pytest.raises(Unavailable):
        await server_process(line)

    assert await server_process(line) != before


async def test_a_statement_that_takes_too_long_costs_no_connection(line: Line) -> None:
    before = await server_process(line)

    with pytest.raises(Unavailable):
        await line.statement(SLEEP, {"really": True})

    assert await server_process(line) == before


async def test_a_statement_that_nobody_waits_for_any_more_leaves_nothing_behind(
    quiet_database: Database,
) -> None:
    line = Line(Settings(database_url=SecretStr(quiet_database.url)), BY_INDEX)
    before = await server_process(line)
    waiting = asyncio.create_task(line.statement(SLEEP, {"really": True}))
    runs = f"SELECT 1 FROM pg_stat_activity WHERE pid = {before} AND wait_event = 'PgSleep'"
    await eventually_async(lambda: asyncio.to_thread(quiet_database.value, runs))

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await server_process(line) != before
    await line.close()


async def test_what_is_wrong_with_a_statement_is_not_taken_for_an_absence(line: Line) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await line.statement(text("SELECT FROM nowhere"), {})


async def test_without_a_server_it_is_unavailable() -> None:
    nobody = Line(Settings(database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none")), BY_INDEX)

    with pytest.raises(Unavailable):
        await server_process(nobody)


async def test_once_closed_it_does_not_open_again(line: Line) -> None:
    await line.close()

    with pytest.raises(Unavailable):
        await server_process(line)


@pytest.mark.parametrize(("prepared", "kept"), [(True, True), (False, False)], ids=["kept", "forgone"])
async def test_a_statement_stays_prepared_only_if_that_is_wanted(
    quiet_database: Database, prepared: bool, kept: bool
) -> None:
    settings = Settings(database_url=SecretStr(quiet_database.url), database_prepared_statements=prepared)
    line = Line(settings, BY_INDEX)

    for _ in range(3):
        await server_process(line)
    count = (await line.statement(KEPT, {}))[0]["count"]
    await line.close()

    assert (count > 0) is kept


async def test_what_came_of_a_claim_is_on_disk_before_anybody_relies_on_it(quiet_database: Database) -> None:
    settings = Settings(database_url=SecretStr(quiet_database.url))
    async with open_lines(settings, None) as lines:  # type: ignore[arg-type]
        waited_for = [
            (await line.statement(text("SELECT current_setting('synchronous_commit') AS it"), {}))[0]["it"]
            for line in (lines.claims, lines.outcomes)
        ]

    assert waited_for[0] == "off"
    assert waited_for[1] != "off"


def test_the_operator_is_told_every_parameter_that_a_pooler_must_let_pass() -> None:
    sent = session_settings(Settings(), BY_INDEX_UNFLUSHED).keys() - {"application_name"}

    told = re.search(r"ignore_startup_parameters = ([\w,]+)", (ROOT / "deploy" / "README.md").read_text())

    assert told
    assert set(told[1].split(",")) == sent
