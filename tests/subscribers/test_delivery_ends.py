"""How a subscription is given up on: gone or failing for days, said by an event, its deliveries dead and not lost."""

import asyncio

import orjson
import pytest
from prometheus_client import REGISTRY

from service.db.ids import new_id
from service.settings import Settings
from service.subscribers.claims import EVER, Target, claim_new, release_ended_leases
from service.subscribers.disable import disable_gone
from service.subscribers.event_types import EventType
from service.subscribers.outcomes import Outcome
from service.subscribers.pace import FewRooms
from service.subscribers.retry import Answer as Came
from service.subscribers.retry import Retry
from service.subscribers.signature import new_signing_secret
from tests.subscribers.notifications import Notifications, OpenLoop
from tests.support.database import Database
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually_async

EVERYTHING: tuple[EventType, ...] = ("task.succeeded", "subscription.disabled")
URL = "http://127.0.0.1/hook"
A_TASK = """
INSERT INTO tasks (id, client, account, state, model_id, prompt, generations_count, model_parameters, assets, metadata)
VALUES (:id, 'shop', 'default', 'succeeded', 'seedream', 'a lighthouse', 1, '{}', '[]', '{}')
"""
FIVE_DAYS_AND_A_BIT = "UPDATE subscriptions SET failing_since = now() - interval '121 hours' WHERE url = :url"


async def test_a_subscription_that_only_fails_for_days_is_disabled_and_the_clients_others_are_told(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver
) -> None:
    with Receiver() as broken:
        broken.answer(then=Answer(status=500))
        failing = await notifications.subscribe(broken.url, event_types=EVERYTHING)
        await notifications.subscribe(receiver.url, event_types=("subscription.disabled",))
        await notifications.subscribe(receiver.url, client="another", event_types=("subscription.disabled",))
        await notifications.rows(FIVE_DAYS_AND_A_BIT, url=broken.url)

        async with run_loop():
            await notifications.emit()
            (told,) = await asyncio.to_thread(receiver.wait_for, 1)
            await eventually_async(notifications.is_idle)

    event = orjson.loads(told.body)
    assert event["type"] == "subscription.disabled"
    assert event["data"]["subscription_id"] == str(failing.id)
    assert event["data"]["reason"] == "failing"
    assert event["data"]["url_host"] == broken.url.split("/")[2]
    assert len(receiver.received()) == 1
    (row,) = await notifications.rows("SELECT state, disabled_reason FROM subscriptions WHERE id = :id", id=failing.id)
    assert row == {"state": "disabled", "disabled_reason": "failing"}


async def test_a_subscription_that_took_something_meanwhile_is_not_disabled(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    subscription = await notifications.subscribe(receiver.url)
    await notifications.rows(FIVE_DAYS_AND_A_BIT, url=subscription.url)
    receiver.answer(Answer(status=204), Answer(status=500))

    async with open_loop() as loop:
        for _ in range(2):
            await notifications.emit()
            await loop.turn()
            await loop.drain()

    assert await notifications.rows("SELECT state FROM subscriptions") == [{"state": "active"}]


async def test_a_subscriber_that_says_gone_is_disabled_with_that_reason_and_an_event(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(Answer(status=410))
    await notifications.subscribe(receiver.url, event_types=EVERYTHING)
    await notifications.emit()

    async with open_loop() as loop:
        await loop.turn()
        await loop.drain()

    assert await notifications.rows("SELECT state, disabled_reason FROM subscriptions") == [
        {"state": "disabled", "disabled_reason": "gone"}
    ]
    (event,) = await notifications.rows("SELECT body FROM events WHERE type = 'subscription.disabled'")
    assert orjson.loads(event["body"])["data"]["reason"] == "gone"
    assert await notifications.is_idle()


async def test_a_subscriber_is_disabled_before_its_gone_is_stored_so_that_no_crash_forgets_it(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver, quiet_database: Database
) -> None:
    receiver.answer(then=Answer(status=410))
    await notifications.subscribe(receiver.url)
    await notifications.emit()
    quiet_database.execute("BEGIN")
    quiet_database.execute("LOCK TABLE delivery_results IN SHARE MODE")

    async with run_loop():
        try:
            await eventually_async(lambda: notifications.rows("SELECT id FROM subscriptions WHERE state = 'disabled'"))
            stored_before = await notifications.results()
        finally:
            quiet_database.execute("COMMIT")

    assert stored_before == []
    assert await notifications.results() == ["dead"]


def disable_failures() -> float:
    return REGISTRY.get_sample_value("gateway_subscription_disable_failures_total") or 0.0


async def test_a_subscription_that_cannot_be_disabled_is_counted_and_keeps_no_outcome_from_being_stored(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver, quiet_database: Database
) -> None:
    receiver.answer(Answer(status=410), then=Answer(status=204))
    await notifications.subscribe(receiver.url)
    before = disable_failures()
    quiet_database.execute("ALTER TABLE events ADD CONSTRAINT untold CHECK (type <> 'subscription.disabled') NOT VALID")

    try:
        async with run_loop():
            for ends in (1, 2):
                await notifications.emit()
                await asyncio.to_thread(receiver.wait_for, ends)
                await eventually_async(notifications.is_idle)
    finally:
        quiet_database.execute("ALTER TABLE events DROP CONSTRAINT untold")

    assert await notifications.results() == ["dead", "delivered"]
    assert disable_failures() == before + 1


async def test_a_gone_that_came_after_the_claim_was_lost_disables_nobody(notifications: Notifications) -> None:
    await notifications.subscribe("http://127.0.0.1/")
    await notifications.emit()
    (lost,) = await notifications.claim()
    await notifications.make_due()
    (successor,) = await notifications.claim()

    await disable_gone(notifications.database, lost)
    assert await notifications.rows("SELECT state FROM subscriptions") == [{"state": "active"}]

    await disable_gone(notifications.database, successor)
    assert await notifications.rows("SELECT state FROM subscriptions") == [{"state": "disabled"}]


async def test_deliveries_of_a_disabled_subscription_end_as_dead_without_an_attempt(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    await notifications.subscribe(receiver.url)
    await notifications.emit()
    await notifications.rows("UPDATE subscriptions SET state = 'disabled'")

    async with open_loop() as loop:
        await loop.turn()
        await loop.drain()

    assert receiver.received() == []
    assert await notifications.rows("SELECT state, attempts FROM delivery_results") == [
        {"state": "dead", "attempts": 0}
    ]


async def test_what_a_dead_process_held_is_due_again_when_its_lease_ends(notifications: Notifications) -> None:
    await notifications.subscribe("http://127.0.0.1/")
    await notifications.emit()
    (lost,) = await notifications.claim()

    assert await release_ended_leases(notifications.line) == 0
    await notifications.rows("UPDATE deliveries SET lease_until = now() - interval '1 ms'")
    assert await release_ended_leases(notifications.line) == 1

    (again,) = await notifications.claim()
    assert (again.id, again.attempt) == (lost.id, 2)


async def test_an_outcome_of_a_lost_claim_slows_nobody_down(notifications: Notifications) -> None:
    await notifications.subscribe("http://127.0.0.1/")
    await notifications.emit()
    (lost,) = await notifications.claim()
    await notifications.make_due()

    await notifications.store([Outcome(lost, Retry(0.0), Came(500, "http", "answered 500", duration_ms=1))])

    assert await notifications.rows("SELECT failures_in_row FROM subscriptions") == [{"failures_in_row": 0}]


async def test_during_a_rotation_both_secrets_sign_and_afterwards_only_the_new_one(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    await notifications.subscribe(receiver.url)
    await notifications.rows(
        "UPDATE subscriptions SET previous_secret = :secret, previous_secret_until = now() + interval '1 hour'",
        secret=new_signing_secret(),
    )

    async with open_loop() as loop:
        for until in ("now() + interval '1 hour'", "now()"):
            await notifications.rows(f"UPDATE subscriptions SET previous_secret_until = {until}")
            await notifications.emit()
            await loop.turn()
            await loop.drain()

    during, after = (request.headers["webhook-signature"].split() for request in receiver.received())
    assert (len(during), len(after)) == (2, 1)


async def test_a_subscription_in_the_image_apis_form_gets_that_body(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    await notifications.subscribe(receiver.url)
    await notifications.rows("UPDATE subscriptions SET format = 'upstream'")
    event_id = await notifications.emit(body='{"type": "task.succeeded"}')
    await notifications.rows("""UPDATE events SET upstream_body = '{"status": "done"}' WHERE id = :id""", id=event_id)

    async with open_loop() as loop:
        await loop.turn()
        await loop.drain()

    (request,) = receiver.received()
    assert request.body == b'{"status": "done"}'


@pytest.mark.parametrize("at_a_glance", [False, True], ids=["look", "glance"])
async def test_an_event_older_than_its_subscription_in_the_image_apis_form_is_rendered_from_its_task(
    notifications: Notifications, at_a_glance: bool
) -> None:
    await notifications.subscribe(URL)
    await notifications.rows("UPDATE subscriptions SET format = 'upstream'")
    task_id, event_id = new_id(), await notifications.emit()
    await notifications.rows(A_TASK, id=task_id)
    await notifications.rows("UPDATE events SET task_id = :task_id WHERE id = :id", task_id=task_id, id=event_id)

    if at_a_glance:
        (claim,) = (await claim_new(notifications.line, Settings(), FewRooms(4, (), (), (), 4), EVER)).claims
    else:
        (claim,) = await notifications.claim()

    assert isinstance(claim.target, Target)
    task = orjson.loads(claim.target.body)
    assert (task["id"], task["status"], task["metadata"]["prompt"]) == (str(task_id), "done", "a lighthouse")
