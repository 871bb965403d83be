"""Who may see, make and delete subscriptions, and which events reach which of them."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from service.db.engine import Database as GatewayDatabase
from service.db.ids import new_id
from service.subscribers.event_types import ENDED_EVENT_TYPES, EVENT_TYPES, TERMINAL_EVENT_TYPES
from service.subscribers.fan_out import INLINE_SUBSCRIPTION_CTES
from service.subscribers.signature import new_signing_secret
from service.subscribers.store import delete_subscription, get_subscription, list_subscriptions
from tests.subscribers.notifications import Notifications

URL = "http://10.0.0.7/hook"
INLINE = text(f"WITH {INLINE_SUBSCRIPTION_CTES} SELECT id, created FROM callback")


async def call_back(
    database: GatewayDatabase, url: str | None = URL, *, client: str = "shop", body_format: str = "standard"
) -> tuple[UUID, bool] | None:
    values = {"client": client, "callback_url": url, "callback_format": body_format, "subscription_id": new_id()}
    rows = await database.statement(INLINE, {**values, "secret": new_signing_secret()})
    return (rows[0].id, rows[0].created) if rows else None


async def test_a_subscription_is_shown_as_it_was_made_but_without_its_secret(notifications: Notifications) -> None:
    made = await notifications.subscribe(URL, event_types=("task.failed",))

    async with notifications.database.reading() as connection:
        shown = await get_subscription(connection, "shop", made.id)

    assert shown is not None
    assert (shown.url, shown.event_types, shown.state, shown.inline) == (URL, ("task.failed",), "active", False)
    assert not hasattr(shown, "secret")


async def test_a_list_is_read_page_by_page_newest_first(notifications: Notifications) -> None:
    made = [(await notifications.subscribe(URL)).id for _ in range(5)]

    async with notifications.database.reading() as connection:
        first = await list_subscriptions(connection, "shop", before=None, limit=3)
        rest = await list_subscriptions(connection, "shop", before=first[-1].id, limit=3)

    assert [each.id for each in (*first, *rest)] == sorted(made, reverse=True)  # ids grow with time


async def test_another_clients_subscription_cannot_be_seen_or_deleted(notifications: Notifications) -> None:
    made = await notifications.subscribe(URL, client="shop")

    async with notifications.database.transaction() as connection:
        assert await get_subscription(connection, "bank", made.id) is None
        assert await list_subscriptions(connection, "bank", before=None, limit=10) == []
        assert not await delete_subscription(connection, "bank", made.id)

    async with notifications.database.reading() as connection:
        assert await get_subscription(connection, "shop", made.id) is not None


async def test_deleting_a_subscription_drops_its_undone_deliveries_only(notifications: Notifications) -> None:
    made, other = await notifications.subscribe(URL), await notifications.subscribe(URL)
    await notifications.emit()

    async with notifications.database.transaction() as connection:
        assert await delete_subscription(connection, "shop", made.id)

    assert await notifications.rows("SELECT subscription_id FROM deliveries") == [{"subscription_id": other.id}]


async def test_a_subscription_can_be_deleted_once(notifications: Notifications) -> None:
    made = await notifications.subscribe(URL)

    async with notifications.database.transaction() as connection:
        assert await delete_subscription(connection, "shop", made.id)
        assert not await delete_subscription(connection, "shop", made.id)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
async def test_an_event_reaches_the_subscriptions_to_its_type(notifications: Notifications, event_type: str) -> None:
    for wanted in EVENT_TYPES:
        await notifications.subscribe(URL, event_types=(wanted,))

    await notifications.emit(event_type)

    reached = await notifications.rows(
        "SELECT s.event_types FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id"
    )
    assert reached == [{"event_types": [event_type]}]


async def test_an_event_stays_with_its_client(notifications: Notifications) -> None:
    await notifications.subscribe(URL, client="bank")

    await notifications.emit(client="shop")

    assert await notifications.is_idle()


async def test_a_disabled_subscription_gets_no_new_deliveries(notifications: Notifications) -> None:
    made = await notifications.subscribe(URL)
    await notifications.rows("UPDATE subscriptions SET state = 'disabled' WHERE id = :id", id=made.id)

    await notifications.emit()

    assert await notifications.is_idle()


async def test_tasks_with_one_callback_url_share_one_subscription(gateway_database: GatewayDatabase) -> None:
    first, second = await call_back(gateway_database), await call_back(gateway_database)

    assert first is not None
    assert first[1]
    assert second == (first[0], False)


async def test_two_formats_of_one_callback_url_are_two_subscriptions(notifications: Notifications) -> None:
    standard = await call_back(notifications.database)
    upstream = await call_back(notifications.database, body_format="upstream")
    again = await call_back(notifications.database, body_format="upstream")

    assert standard is not None
    assert upstream is not None
    assert (upstream[1], again) == (True, (upstream[0], False))
    (theirs,) = await notifications.rows("SELECT event_types FROM subscriptions WHERE format = 'upstream'")
    assert theirs["event_types"] == list(ENDED_EVENT_TYPES)


async def test_clients_do_not_share_a_callback_subscription(gateway_database: GatewayDatabase) -> None:
    first, second = await call_back(gateway_database), await call_back(gateway_database, client="bank")

    assert first is not None
    assert second is not None
    assert first[0] != second[0]
    assert second[1]


async def test_without_a_callback_url_nothing_is_made(notifications: Notifications) -> None:
    assert await call_back(notifications.database, None) is None
    assert await notifications.rows("SELECT id FROM subscriptions") == []


async def test_naming_a_callback_url_again_enables_it_again(notifications: Notifications) -> None:
    made = await call_back(notifications.database)
    await notifications.rows("""
        UPDATE subscriptions SET state = 'disabled', disabled_reason = 'failing', failures_in_row = 9,
            failing_since = now(), rests_until = now() + interval '5 minutes'
    """)

    again = await call_back(notifications.database)

    assert made is not None
    assert again == (made[0], False)
    assert await notifications.rows(
        "SELECT state, disabled_reason, failures_in_row, failing_since, rests_until FROM subscriptions"
    ) == [
        {
            "state": "active",
            "disabled_reason": None,
            "failures_in_row": 0,
            "failing_since": None,
            "rests_until": None,
        }
    ]


async def test_naming_a_callback_url_again_leaves_it_paused(notifications: Notifications) -> None:
    made = await call_back(notifications.database)
    await notifications.rows("UPDATE subscriptions SET state = 'paused'")

    again = await call_back(notifications.database)

    assert made is not None
    assert again == (made[0], False)
    assert await notifications.rows("SELECT state FROM subscriptions") == [{"state": "paused"}]


async def test_a_paused_subscription_collects_deliveries(notifications: Notifications) -> None:
    made = await notifications.subscribe(URL)
    await notifications.rows("UPDATE subscriptions SET state = 'paused' WHERE id = :id", id=made.id)

    event_id = await notifications.emit()

    assert await notifications.rows("SELECT event_id FROM deliveries") == [{"event_id": event_id}]


async def test_a_callback_url_hears_of_the_end_of_its_own_tasks_only(notifications: Notifications) -> None:
    made = await call_back(notifications.database)
    assert made is not None

    await notifications.emit("task.succeeded", callback=None)
    await notifications.emit("task.succeeded", callback=uuid4())
    await notifications.emit("task.processing", callback=made[0])
    mine = [await notifications.emit(event_type, callback=made[0]) for event_type in TERMINAL_EVENT_TYPES]

    delivered = await notifications.rows("SELECT event_id FROM deliveries")
    assert {row["event_id"] for row in delivered} == set(mine)
