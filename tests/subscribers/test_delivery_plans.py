"""What the delivery loop runs all the time finds its rows by an index, however many deliveries wait."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import TextClause, text

from service.db.engine import Database as GatewayDatabase
from service.settings import Settings
from service.subscribers import claim_sql, claims, outcome_sql, outcomes
from service.subscribers.claims import EVER, Ask, Claim, Undeliverable
from service.subscribers.outcomes import Outcome
from service.subscribers.pace import Rooms
from tests.support.database import Database, DatabaseServer
from tests.tasks.query_plans import Query, explain, nodes

SUBSCRIPTIONS, EVENTS_EACH = 200, 250
AN_ID = UUID(int=1)
FILL = """
INSERT INTO subscriptions (id, client, url, event_types, secret, description)
    SELECT gateway_uuid7(now()), 'client-' || n, 'http://127.0.0.1/', ARRAY['task.succeeded'], 'whsec_', ''
    FROM generate_series(1, $1::int) n;
"""
FILL_THE_REST = """
WITH event AS (
    INSERT INTO events (id, client, type, body)
    SELECT gateway_uuid7(now()), s.client, 'task.succeeded', '{}' FROM subscriptions s, generate_series(1, $1::int)
    RETURNING id, client
)
INSERT INTO deliveries (id, client, event_id, subscription_id)
SELECT gateway_uuid7(now()), e.client, e.id, s.id FROM event e JOIN subscriptions s ON s.client = e.client
"""

_FILLED = text("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > 1000")


def statements() -> dict[str, tuple[TextClause, Mapping[str, Any]]]:
    settings, rooms = Settings(), Rooms(64, (AN_ID,), (4,), (), 4, 48, 32)
    claim = Claim(AN_ID, AN_ID, AN_ID, AN_ID, 1, EVER, Undeliverable("dead"))
    return {
        "claim": (claim_sql.CLAIM, claims._values(settings, Ask(rooms), AN_ID) | {"standings": (1,)}),
        "glance": (
            claim_sql.GLANCE,
            claims._lease(settings, AN_ID)
            | {"since": EVER, "window": 64, "free": 32, "room_of_others": 4}
            | {"lanes": (AN_ID,), "rooms": (0,), "full_lanes": (AN_ID,)},
        ),
        "release": (claim_sql.RELEASE, {"most": 1000}),
        "store": (outcome_sql.STORE, outcomes._values(settings, [Outcome(claim, claim.target)])),  # type: ignore[arg-type]
    }


@pytest.fixture(scope="module")
def filled(database_server: DatabaseServer) -> Iterator[Database]:
    """A database with a backlog of 50,000."""
    with database_server.migrated() as database:
        database.execute(FILL, SUBSCRIPTIONS)
        database.execute(FILL_THE_REST, EVENTS_EACH)
        database.execute("VACUUM ANALYZE")
        yield database


@pytest.fixture
async def gateway_database(filled: Database) -> AsyncIterator[GatewayDatabase]:
    opened = GatewayDatabase(Settings(database_url=SecretStr(filled.url)))
    yield opened
    await opened.close()


@pytest.mark.parametrize("name", ["claim", "glance", "release", "store"])
async def test_with_50000_deliveries_no_table_is_read_whole(gateway_database: GatewayDatabase, name: str) -> None:
    sql, values = statements()[name]

    plan = await explain(gateway_database, Query(sql, values))

    read = {step["Relation Name"] for step in nodes(plan) if step["Node Type"] == "Seq Scan"}
    filled = {row.relname for row in await gateway_database.statement(_FILLED)}
    assert filled
    assert read & filled == set(), plan


async def test_outcomes_are_stored_by_id_whatever_a_snapshot_keeps_in_the_index_of_leases(
    gateway_database: GatewayDatabase,
) -> None:
    sql, values = statements()["store"]

    plan = await explain(gateway_database, Query(sql, values))

    reads = [step for step in nodes(plan) if step.get("Relation Name") == "deliveries" and "Scan" in step["Node Type"]]
    indexes = {step["Index Name"] for step in reads}
    assert indexes == {"deliveries_pkey"}, plan
