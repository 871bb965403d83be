"""What happens to notifications when processes die, freeze or stop, the database stalls, or one subscriber hangs."""

import asyncio
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from service.subscribers.claims import Claim, Target
from service.subscribers.outcomes import Outcome
from service.subscribers.pace import room
from service.subscribers.retry import Answer as Came
from service.subscribers.retry import Delivered
from tests.subscribers.notifications import Notifications, OpenLoop
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually_async


async def claim(notifications: Notifications, free: int = 10) -> list[Claim]:
    return await notifications.claim(free)


async def test_what_died_with_its_process_is_sent_again_under_the_same_id(
    notifications: Notifications, open_loop: OpenLoop, run_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(Answer(ending="hang"))
    await notifications.subscribe(receiver.url)
    await notifications.emit()

    async with open_loop() as dying:
        await dying.turn()
        await asyncio.to_thread(receiver.wait_for, 1)
    await notifications.make_due()
    async with run_loop():
        await eventually_async(notifications.results)

    first, second = receiver.received()
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert await notifications.rows("SELECT attempts FROM delivery_results") == [{"attempts": 2}]


async def test_while_a_lease_runs_nobody_else_sends_the_same(notifications: Notifications) -> None:
    await notifications.subscribe("http://127.0.0.1/")
    await notifications.emit()

    assert len(await claim(notifications)) == 1
    assert await claim(notifications) == []


async def test_a_process_that_froze_past_its_lease_writes_nothing(notifications: Notifications) -> None:
    await notifications.subscribe("http://127.0.0.1/")
    await notifications.emit()
    (frozen,) = await claim(notifications)
    await notifications.make_due()
    (successor,) = await claim(notifications)
    came = Came(200, None, None, duration_ms=1)

    assert (await notifications.store([Outcome(frozen, Delivered(), came)])).lost == {frozen.id}
    assert await notifications.results() == []

    assert not (await notifications.store([Outcome(successor, Delivered(), came)])).lost
    assert await notifications.results() == ["delivered"]
    assert len(await notifications.rows("SELECT id FROM delivery_attempts")) == 1


async def test_storing_the_same_outcome_twice_changes_nothing(notifications: Notifications) -> None:
    await notifications.subscribe("http://127.0.0.1/")
    await notifications.emit()
    outcomes = [Outcome(each, Delivered(), Came(200, None, None, duration_ms=1)) for each in await claim(notifications)]

    for _ in range(2):
        await notifications.store(outcomes)

    assert await notifications.results() == ["delivered"]
    assert len(await notifications.rows("SELECT id FROM delivery_attempts")) == 1


async def test_an_outcome_that_cannot_be_stored_yet_is_stored_later_and_not_sent_again(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver
) -> None:
    await notifications.subscribe(receiver.url)

    async with run_loop(patience_s=0.2) as loop:
        async with notifications.database.transaction() as connection:
            await connection.execute(text("LOCK TABLE delivery_results"))
            await notifications.emit()
            loop.wake.set()
            await asyncio.to_thread(receiver.wait_for, 1)
            stalled = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            await eventually_async(lambda: notifications.rows(stalled))
        await eventually_async(notifications.results)

    assert len(receiver.received()) == 1
    await notifications.database.close()


async def test_a_stopping_process_ends_what_is_under_way_and_records_it(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(then=Answer(delay_s=0.3))
    await notifications.subscribe(receiver.url)
    for _ in range(3):
        await notifications.emit()

    async with run_loop():
        await asyncio.to_thread(receiver.wait_for, 3)

    assert await notifications.results() == ["delivered"] * 3


async def test_a_subscriber_that_hangs_does_not_hold_up_the_others(
    notifications: Notifications, run_loop: OpenLoop, receiver: Receiver
) -> None:
    with Receiver() as hanging:
        hanging.answer(then=Answer(ending="hang"))
        await notifications.subscribe(hanging.url, client="hanging")
        for _ in range(30):
            await notifications.emit(client="hanging")
        await notifications.subscribe(receiver.url)

        async with run_loop(timeout_s=1.0, places=8):
            await asyncio.to_thread(hanging.wait_for, 4)
            for _ in range(20):
                await notifications.emit()
            await eventually_async(notifications.results)
            arrived = await asyncio.to_thread(receiver.wait_for, 20, timeout_s=0.9)

    assert len(arrived) == 20


async def test_no_more_are_under_way_than_there_are_places(
    notifications: Notifications, open_loop: OpenLoop, receiver: Receiver
) -> None:
    receiver.answer(then=Answer(delay_s=0.2))
    for _ in range(20):
        await notifications.subscribe(receiver.url)
    await notifications.emit()

    async with open_loop(places=8) as loop:
        await loop.turn()
        await loop.turn()
        claimed = await notifications.rows("SELECT id FROM deliveries WHERE claim_id IS NOT NULL")
        await loop.drain()

    assert len(claimed) == 6  # the others are for those that have been seen to answer


async def test_one_claim_serves_all_subscribers_in_turn(notifications: Notifications) -> None:
    busy = await notifications.subscribe("http://127.0.0.1/busy")
    for _ in range(20):
        await notifications.emit()
    others = [await notifications.subscribe("http://127.0.0.1/", client=uuid4().hex) for _ in range(3)]
    for other in others:
        await notifications.emit(client=other.client)

    claims = await claim(notifications, free=8)

    served = [each.subscription_id for each in claims]
    assert set(served) == {busy.id, *(other.id for other in others)}
    assert served.count(busy.id) == 4


async def test_a_claim_carries_all_that_a_send_needs(notifications: Notifications) -> None:
    subscription = await notifications.subscribe("http://127.0.0.1/hook")
    event_id = await notifications.emit(body='{"a": 1}')

    (made,) = await claim(notifications)

    assert made.target == Target("http://127.0.0.1/hook", (subscription.secret,), b'{"a": 1}', timeout_s=15.0)
    assert (made.event_id, made.attempt) == (event_id, 1)


@given(st.integers(1, 500), st.integers(1, 500))
def test_nobody_takes_more_places_than_are_left_free_afterwards(free: int, held: int) -> None:
    taken = room(free, held)

    assert taken == 0 or held + taken <= free - taken


def test_the_last_free_place_goes_to_whoever_has_none() -> None:
    assert room(free=1, held=0) == 1
    assert room(free=1, held=1) == 0


@pytest.mark.parametrize(("slow", "left"), [(1, 32), (2, 21), (3, 16), (7, 8), (20, 3)])
def test_slow_subscribers_leave_their_share_of_the_places_to_the_others(slow: int, left: int) -> None:
    places, in_flight = 64, [0] * slow

    for _ in range(50):
        for subscriber in range(slow):  # its sends time out, and it claims anew
            in_flight[subscriber] = 0
            in_flight[subscriber] = room(places - sum(in_flight), held=0)

    assert places - sum(in_flight) >= left
