"""Listing deliveries looks at a bounded number of rows at a time, and finds what is there all the same."""

from uuid import UUID

import pytest

from service.db.engine import Database as GatewayDatabase
from service.subscribers import history
from service.subscribers.history import DeliveryFilter, list_deliveries
from tests.support.database import Database

MANY = history.LOOKED_AT + 2000
UNDONE = """
INSERT INTO deliveries (id, client, event_id, subscription_id)
SELECT gateway_uuid7(now() + $2 * interval '1 second'), $1, gen_random_uuid(), gen_random_uuid()
FROM generate_series(1, $3::int) RETURNING id
"""
DONE = """
INSERT INTO delivery_results (id, client, event_id, subscription_id, state, attempts)
SELECT gateway_uuid7(now() + $2 * interval '1 second'), 'shop', gen_random_uuid(), gen_random_uuid(), $1, 1
FROM generate_series(1, $3::int) RETURNING id
"""


def made(database: Database, sql: str, kind: str, after_s: int, count: int = 1) -> list[UUID]:
    return sorted((row["id"] for row in database.rows(sql, kind, after_s, count)), reverse=True)


@pytest.mark.parametrize("wanted", [DeliveryFilter(), DeliveryFilter(state="pending")], ids=["all", "what is undone"])
async def test_a_clients_delivery_is_found_behind_thousands_of_others(
    gateway_database: GatewayDatabase, quiet_database: Database, wanted: DeliveryFilter
) -> None:
    [mine] = made(quiet_database, UNDONE, "shop", after_s=0)
    made(quiet_database, UNDONE, "another", after_s=1, count=MANY)

    page = await list_deliveries(gateway_database, "shop", wanted, None, 20)

    assert ([each.id for each in page.deliveries], page.next_cursor) == ([mine], None)


async def test_the_dead_one_is_found_behind_thousands_that_arrived(
    gateway_database: GatewayDatabase, quiet_database: Database
) -> None:
    [dead] = made(quiet_database, DONE, "dead", after_s=0)
    made(quiet_database, DONE, "delivered", after_s=1, count=MANY)

    page = await list_deliveries(gateway_database, "shop", DeliveryFilter(state="dead"), None, 20)

    assert ([each.id for each in page.deliveries], page.next_cursor) == ([dead], None)


async def test_pages_through_many_undone_and_done_miss_none(
    gateway_database: GatewayDatabase, quiet_database: Database
) -> None:
    mine = []
    for second in range(4):
        mine += made(quiet_database, UNDONE, "shop", after_s=second, count=7)
        mine += made(quiet_database, DONE, "delivered", after_s=second, count=9)
    made(quiet_database, UNDONE, "another", after_s=2, count=MANY)

    seen: list[UUID] = []
    cursor = None
    while page := await list_deliveries(gateway_database, "shop", DeliveryFilter(), cursor, 10):
        seen += [each.id for each in page.deliveries]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == sorted(mine, reverse=True)
