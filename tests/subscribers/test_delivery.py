"""What a subscriber and its operator can rely on: signed, retried, recorded, given up openly."""

from uuid import uuid4

import pytest
import standardwebhooks
from structlog.testing import capture_logs

from service.subscribers.store import delete_subscription
from tests.subscribers.notifications import Notifications, OpenLoop
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually_async

BODY = '{"type": "task.succeeded",  "data": {"prompt": "über \\u00e4"}}'


async def test_a_notification_arrives_signed_and_byte_for_byte(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver
) -> None:
    subscription = await notifications.subscribe(receiver.url)

    async with run_loop():
        event_id = await notifications.emit(body=BODY)
        await eventually_async(notifications.results)

    (request,) = receiver.received()
    assert request.body == BODY.encode()
    assert request.headers["webhook-id"] == f"evt_{event_id.hex}"
    standardwebhooks.Webhook(subscription.secret).verify(request.body, dict(request.headers))


async def test_a_delivered_notification_leaves_the_queue_and_is_recorded(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(Answer(status=200, body=b"thanks"))
    await notifications.subscribe(receiver.url)

    async with run_loop():
        await notifications.emit()
        await eventually_async(notifications.results)

    assert await notifications.is_idle()
    assert await notifications.rows("SELECT state, attempts FROM delivery_results") == [
        {"state": "delivered", "attempts": 1}
    ]
    assert await notifications.rows("SELECT number, status, error_class, answer FROM delivery_attempts") == [
        {"number": 1, "status": 200, "error_class": None, "answer": b"thanks"}
    ]
    assert notifications.attempts_observed == [("delivered", None)]


async def test_a_failed_notification_comes_again_under_the_same_id(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(Answer(status=500))
    await notifications.subscribe(receiver.url)

    async with run_loop():
        await notifications.emit(body=BODY)
        await eventually_async(notifications.results)

    first, second = receiver.received()
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert second.arrived_at_s - first.arrived_at_s >= 1
    attempts = await notifications.rows("SELECT number, status, error_class FROM delivery_attempts ORDER BY number")
    assert attempts == [
        {"number": 1, "status": 500, "error_class": "http"},
        {"number": 2, "status": 204, "error_class": None},
    ]


async def test_a_retry_waits_at_least_as_long_as_the_subscriber_asks(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(Answer(status=429, headers={"Retry-After": "3000"}))
    await notifications.subscribe(receiver.url)
    await notifications.emit()

    async with open_loop() as loop:
        await loop.turn()
        await loop.drain()

    (waiting,) = await notifications.rows("SELECT claim_id, due_at > now() + interval '2990 s' AS late FROM deliveries")
    assert waiting == {"claim_id": None, "late": True}


async def test_after_thirteen_failures_a_delivery_is_listed_as_dead(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(then=Answer(status=500))
    await notifications.subscribe(receiver.url)
    await notifications.emit()

    async with open_loop() as loop:
        for _ in range(13):
            await notifications.make_due()
            await loop.turn()
            await loop.drain()

    assert len(receiver.received()) == 13
    assert await notifications.is_idle()
    assert await notifications.rows("SELECT state, attempts FROM delivery_results") == [
        {"state": "dead", "attempts": 13}
    ]


async def test_a_subscriber_that_is_gone_is_disabled_and_its_waiting_deliveries_die_unsent(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(Answer(status=410))
    await notifications.subscribe(receiver.url)
    for _ in range(3):
        await notifications.emit()

    async with open_loop(places=1) as loop:
        for _ in range(6):
            await loop.turn()
            await loop.drain()

    assert len(receiver.received()) == 1
    assert await notifications.rows("SELECT state FROM subscriptions") == [{"state": "disabled"}]
    assert await notifications.results() == ["dead"] * 3
    assert len(await notifications.rows("SELECT id FROM delivery_attempts")) == 1


async def test_deleting_a_subscription_while_its_notification_is_under_way_leaves_nothing_behind(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(Answer(status=500))
    subscription = await notifications.subscribe(receiver.url)
    await notifications.emit()

    async with open_loop() as loop:
        await loop.turn()
        async with notifications.database.transaction() as connection:
            await delete_subscription(connection, "shop", subscription.id)
        await loop.drain()

    assert await notifications.is_idle()
    assert await notifications.results() == []


async def test_a_delivery_whose_subscription_vanished_is_dropped(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    await notifications.subscribe(receiver.url)
    await notifications.emit()
    await notifications.rows("DELETE FROM subscriptions")

    async with open_loop() as loop:
        await loop.turn()
        await loop.drain()

    assert await notifications.is_idle()
    assert receiver.received() == []
    assert await notifications.results() == []


async def test_an_address_that_the_operator_closed_later_is_not_called(
    notifications: Notifications, open_loop: OpenLoop
) -> None:
    await notifications.subscribe("http://10.0.0.7/hook")
    await notifications.emit()

    async with open_loop() as loop:
        await loop.turn()
        await loop.drain()

    assert await notifications.rows("SELECT status, error_class FROM delivery_attempts") == [
        {"status": None, "error_class": "guard"}
    ]
    assert notifications.attempts_observed == [("retry", "guard")]


async def test_every_attempt_is_one_log_line_without_secrets(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver
) -> None:
    subscription = await notifications.subscribe(receiver.url + "/path-token?query=token")

    with capture_logs() as lines:
        async with run_loop():
            event_id = await notifications.emit(body='{"prompt": "a red fox"}')
            await eventually_async(notifications.results)

    (line,) = [line for line in lines if line["event"] == "delivery_attempt"]
    assert line["webhook_id"] == f"evt_{event_id.hex}"
    assert line["subscription_id"] == str(subscription.id)
    assert line["host"] == receiver.url.split("/")[2]
    assert (line["outcome"], line["status"], line["attempt"]) == ("delivered", 204, 1)
    assert not any(hidden in str(lines) for hidden in ("token", "fox", subscription.secret, "v1,"))


async def test_a_secret_that_cannot_sign_ends_as_dead_and_stops_nobody_else(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    broken = await notifications.subscribe(receiver.url)
    await notifications.subscribe(receiver.url)
    await notifications.rows("UPDATE subscriptions SET secret = 'whsec_?' WHERE id = :id", id=broken.id)
    await notifications.emit()

    async with open_loop() as loop:
        for _ in range(13):
            await notifications.make_due()
            await loop.turn()
            await loop.drain()

    assert sorted(await notifications.results()) == ["dead", "delivered"]


@pytest.mark.parametrize("count", [1, 500])
async def test_every_event_reaches_every_subscriber_once(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver, count: int
) -> None:
    client = uuid4().hex
    for _ in range(2):
        await notifications.subscribe(receiver.url, client=client)

    async with run_loop(), run_loop():
        events = [await notifications.emit(client=client) for _ in range(count)]
        await eventually_async(notifications.is_idle, timeout_s=30)

    arrived = sorted(request.headers["webhook-id"] for request in receiver.received())
    assert arrived == sorted(f"evt_{event_id.hex}" for event_id in events for _ in range(2))
