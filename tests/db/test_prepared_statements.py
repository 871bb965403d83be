"""Prepared statements are kept for speed, and can be forgone where a pooler changes servers between transactions."""

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from service.db.engine import Database as GatewayDatabase
from service.settings import Settings
from tests.support.database import Database

KEPT = text("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
BOUND = text("SELECT CAST(:number AS int) AS number, CAST(:words AS jsonb) AS words")


@pytest.mark.parametrize(
    ("prepared", "kept"), [pytest.param(True, True, id="kept"), pytest.param(False, False, id="forgone")]
)
async def test_a_statement_stays_prepared_on_its_connection_only_if_that_is_wanted(
    quiet_database: Database, prepared: bool, kept: bool
) -> None:
    settings = Settings(database_url=SecretStr(quiet_database.url), database_prepared_statements=prepared)
    database = GatewayDatabase(settings)

    for number in range(3):
        rows = await database.statement(BOUND, {"number": number, "words": '["a"]'})
        assert tuple(rows[0]) == (number, ["a"])
    async with database.transaction() as connection:
        assert (await connection.execute(BOUND, {"number": 7, "words": "{}"})).one().number == 7
    [(count,)] = await database.statement(KEPT)
    await database.close()

    assert (count > 1) is kept
