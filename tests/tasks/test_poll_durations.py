"""How long tasks of a model take: measured from those that succeeded, guessed from settings until there are enough."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from service.db.engine import Database as GatewayDatabase
from service.settings import Settings
from service.tasks.durations import TASKS_LOOKED_AT, Durations
from tests.support.database import Database

FILL = """
INSERT INTO tasks (id, client, account, state, model_id, prompt, generations_count, model_parameters, assets, metadata,
    submitted_at, ended_at)
SELECT gen_random_uuid(), 'alpha', 'default', $1, $2, '', 1, '{}', '[]', '{}', now() - make_interval(secs => s), now()
FROM unnest($3::float8[]) AS s
"""
EXPECTED_S, LONG_S, QUIET_S = 33.0, 4000.0, 3.0


@pytest.fixture
async def durations(quiet_database: Database) -> AsyncIterator[Durations]:
    settings = Settings(
        database_url=SecretStr(quiet_database.url),
        task_expected_s=EXPECTED_S,
        upstream_slot_max_s=LONG_S,
        reconcile_first_s=QUIET_S,
    )
    database = GatewayDatabase(settings)
    yield Durations(database, settings)
    await database.close()


async def test_half_of_the_tasks_take_as_long_as_is_expected(durations: Durations, quiet_database: Database) -> None:
    quiet_database.execute(FILL, "succeeded", "slow", [100.0, 100.0, 120.0, 500.0, 900.0])

    assert await durations.expected_s("slow") == pytest.approx(120, abs=1)


async def test_hardly_any_task_takes_longer_than_the_long_time(durations: Durations, quiet_database: Database) -> None:
    quiet_database.execute(FILL, "succeeded", "slow", [float(second) for second in range(1, 102)])

    assert await durations.long_s("slow") == pytest.approx(96, abs=1)


async def test_a_model_without_enough_tasks_is_guessed(durations: Durations, quiet_database: Database) -> None:
    quiet_database.execute(FILL, "succeeded", "new", [100.0] * 4)
    quiet_database.execute(FILL, "succeeded", "young", [100.0] * 19)

    assert (await durations.expected_s("new"), await durations.long_s("new")) == (EXPECTED_S, LONG_S)
    assert await durations.expected_s("young") == pytest.approx(100, abs=1)
    assert await durations.long_s("young") == LONG_S


@pytest.mark.parametrize("state", ["failed", "canceled"])
async def test_only_what_succeeded_is_measured(state: str, durations: Durations, quiet_database: Database) -> None:
    quiet_database.execute(FILL, state, "seedream", [100.0] * 30)

    assert await durations.expected_s("seedream") == EXPECTED_S


async def test_the_first_look_comes_a_little_before_half_of_the_tasks_have_ended(
    durations: Durations, quiet_database: Database
) -> None:
    quiet_database.execute(FILL, "succeeded", "slow", [100.0] * 5)
    quiet_database.execute(FILL, "succeeded", "quick", [1.0] * 5)

    assert await durations.first_look_s("slow") == pytest.approx(80, abs=1)
    assert [await durations.first_look_s(name) for name in ("quick", "new")] == [QUIET_S, QUIET_S]
    assert list(await durations.late_first_looks_s()) == ["slow"]


async def test_measuring_looks_at_the_newest_tasks_alone(durations: Durations, quiet_database: Database) -> None:
    quiet_database.execute(FILL, "succeeded", "old", [100.0] * 30)
    quiet_database.execute("""UPDATE tasks SET id = ('00000000' || substr(id::text, 9))::uuid""")
    quiet_database.execute(FILL.replace("gen_random_uuid()", NEWER), "failed", "new", [1.0] * TASKS_LOOKED_AT)

    assert await durations.expected_s("old") == EXPECTED_S


NEWER = "('01' || substr(gen_random_uuid()::text, 3))::uuid"
