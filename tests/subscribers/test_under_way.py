"""What is under way for a subscription, as the database counts it for its cap: of one lane, and of many at once."""

import asyncio

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from service.db.engine import BY_INDEX
from service.db.line import Line
from service.settings import Settings
from tests.subscribers.notifications import Notifications
from tests.support.database import Database
from tests.support.waiting import eventually_async

URL = "http://127.0.0.1/hook"


@pytest.mark.parametrize(
    "count",
    ["gateway_under_way(s.id, 5)", "(SELECT under_way FROM gateway_under_way_by_lane(ARRAY[s.id], ARRAY[5]))"],
    ids=["of one lane", "of many lanes"],
)
async def test_what_is_under_way_is_counted_as_it_is_when_the_lane_is_locked_not_when_the_claim_began(
    notifications: Notifications, quiet_database: Database, count: str
) -> None:
    await notifications.subscribe(URL)
    await notifications.emit()
    settings = Settings(database_url=SecretStr(quiet_database.url))
    slow, holder = Line(settings, BY_INDEX), Line(settings, BY_INDEX)
    await holder.statement(text("SELECT pg_advisory_lock(7)"), {})
    counting = asyncio.create_task(
        slow.statement(
            text(f"""
                WITH begun AS MATERIALIZED (SELECT pg_advisory_lock(7))
                SELECT {count} AS under_way FROM subscriptions s, begun
            """),
            {},
        )
    )
    waits = "SELECT 1 AS found FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
    await eventually_async(lambda: notifications.rows(waits))

    assert len(await notifications.claim()) == 1
    await holder.close()

    assert (await counting)[0]["under_way"] == 1
    await slow.close()


async def test_lanes_counted_together_are_counted_as_each_alone(notifications: Notifications) -> None:
    for client, events in {"none": 0, "one": 1, "three": 3, "seven": 7}.items():
        await notifications.subscribe(URL, client=client)
        for _ in range(events):
            await notifications.emit(client=client)
    await notifications.claim(100, per_lane=100)

    counted = await notifications.rows("""
        SELECT s.client, together.under_way, gateway_under_way(s.id, 5) AS alone
        FROM subscriptions s JOIN gateway_under_way_by_lane(
            ARRAY(SELECT id FROM subscriptions), ARRAY(SELECT 5 FROM subscriptions)
        ) AS together ON together.lane = s.id
    """)

    assert {row["client"]: row["under_way"] for row in counted} == {"none": 0, "one": 1, "three": 3, "seven": 5}
    assert all(row["under_way"] == row["alone"] for row in counted)
