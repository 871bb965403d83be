"""How fast a subscriber is sent to: caps and rates that hold over all processes, rests that cost no attempt."""

import asyncio

import pytest
from pydantic import SecretStr

from service.db.engine import BY_INDEX
from service.db.line import Line
from service.settings import Settings
from service.subscribers.claims import Claim
from service.subscribers.outcomes import Outcome
from service.subscribers.retry import Answer, Delivered, Retry
from tests.subscribers.notifications import Notifications
from tests.support.database import Database

ROUNDS = 40
URL = "http://127.0.0.1/hook"
FAILED = Answer(500, "http", "answered 500", duration_ms=1)
TAKEN = Answer(204, None, None, duration_ms=1)


async def backlog(notifications: Notifications, count: int, **columns: object) -> None:
    """One subscription with so many due deliveries, its columns set to these values."""
    subscription = await notifications.subscribe(URL)
    for name, value in columns.items():
        await notifications.rows(f"UPDATE subscriptions SET {name} = {value!r}")
    await notifications.rows(
        "INSERT INTO deliveries (id, client, event_id, subscription_id) "
        "SELECT gateway_uuid7(now()), 'shop', :event_id, :id FROM generate_series(1, CAST(:count AS int))",
        event_id=await notifications.emit("task.queued"),
        id=subscription.id,
        count=count,
    )


def failed(claims: list[Claim]) -> list[Outcome]:
    return [Outcome(claim, Retry(0.0), FAILED) for claim in claims]


async def failures_in_row(notifications: Notifications) -> int:
    (row,) = await notifications.rows("SELECT failures_in_row FROM subscriptions")
    return int(row["failures_in_row"])


async def test_many_processes_together_keep_a_subscriptions_cap(
    notifications: Notifications, quiet_database: Database
) -> None:
    await backlog(notifications, 50, max_in_flight=1)
    settings = Settings(database_url=SecretStr(quiet_database.url))
    processes = [Notifications(notifications.database, Line(settings, BY_INDEX)) for _ in range(12)]

    most = 0
    for _ in range(ROUNDS):
        taken = await asyncio.gather(*(process.claim(8) for process in processes))
        most = max(most, sum(map(len, taken)))
        await notifications.make_due()

    assert most == 1
    for process in processes:
        await process.line.close()


async def test_a_place_under_the_cap_is_free_again_when_its_outcome_is_stored(notifications: Notifications) -> None:
    await backlog(notifications, 20, max_in_flight=3)
    first = await notifications.claim(64)

    await notifications.store([Outcome(first[0], Delivered(), TAKEN)])

    assert len(await notifications.claim(64)) == 1


async def test_a_rate_allows_a_burst_of_one_second_and_then_its_pace(notifications: Notifications) -> None:
    await backlog(notifications, 100, rate_per_s=5)

    burst = await notifications.claim(64)
    at_once = await notifications.claim(64)
    await notifications.rows("UPDATE subscriptions SET tokens_at = tokens_at - interval '600 ms'")
    later = await notifications.claim(64)

    assert (len(burst), len(at_once), len(later)) == (5, 0, 3)


async def test_after_failures_in_a_row_a_subscription_rests_and_that_uses_up_no_attempt(
    notifications: Notifications,
) -> None:
    await backlog(notifications, 20)
    await notifications.store(failed(await notifications.claim(64, per_lane=5)))

    while_it_rests = await notifications.claim(64)

    assert while_it_rests == []
    assert await failures_in_row(notifications) == 5
    (attempts,) = await notifications.rows("SELECT sum(attempts) AS made FROM deliveries")
    assert attempts["made"] == 5


async def test_after_its_rest_a_subscription_is_tried_one_at_a_time(notifications: Notifications) -> None:
    await backlog(notifications, 20)
    await notifications.store(failed(await notifications.claim(64, per_lane=5)))
    await notifications.make_due()

    trial = await notifications.claim(64)

    assert len(trial) == 1
    assert await notifications.claim(64) == []


async def test_one_success_ends_the_rests(notifications: Notifications) -> None:
    await backlog(notifications, 20)
    await notifications.store(failed(await notifications.claim(64, per_lane=5)))
    await notifications.make_due()
    trial = await notifications.claim(64)

    await notifications.store([Outcome(trial[0], Delivered(), TAKEN)])

    assert len(await notifications.claim(64, per_lane=8)) == 8
    assert await notifications.rows("SELECT failures_in_row, failing_since, rests_until FROM subscriptions") == [
        {"failures_in_row": 0, "failing_since": None, "rests_until": None}
    ]


async def test_each_rest_is_twice_as_long_as_the_one_before_up_to_a_limit(notifications: Notifications) -> None:
    await backlog(notifications, 50)
    rests_s = []

    for _ in range(6):
        await notifications.store(
            failed(await notifications.claim(64, per_lane=5)), delivery_breaker_first_s=5, delivery_breaker_max_s=60
        )
        rows = await notifications.rows("SELECT extract(epoch FROM rests_until - now()) AS rest_s FROM subscriptions")
        rests_s.append(round(float(rows[0]["rest_s"])))
        await notifications.make_due()

    assert rests_s == [5, 10, 20, 40, 60, 60]


async def test_failures_of_what_was_sent_before_the_rest_do_not_lengthen_it(notifications: Notifications) -> None:
    await backlog(notifications, 20)
    claims = await notifications.claim(64, per_lane=8)
    await notifications.store(failed(claims[:5]))

    await notifications.store(failed(claims[5:]))

    assert await failures_in_row(notifications) == 5


@pytest.mark.parametrize(("asked_s", "rest_s"), [(90, 90), (10_000, 300)], ids=["as asked", "bounded"])
async def test_a_subscriber_that_asks_for_patience_is_left_alone_altogether(
    notifications: Notifications, asked_s: float, rest_s: float
) -> None:
    await backlog(notifications, 20)
    (one,) = await notifications.claim(64, per_lane=1)

    await notifications.store([Outcome(one, Retry(asked_s, asked_s), Answer(429, "http", "answered 429", 1))])

    assert await notifications.claim(64) == []
    rows = await notifications.rows("SELECT extract(epoch FROM rests_until - now()) AS rest_s FROM subscriptions")
    assert float(rows[0]["rest_s"]) == pytest.approx(rest_s, abs=5)


async def test_a_success_writes_nothing_to_a_healthy_subscription(notifications: Notifications) -> None:
    await backlog(notifications, 1)
    (before,) = await notifications.rows("SELECT ctid::text AS row FROM subscriptions")
    (one,) = await notifications.claim(64)

    await notifications.store([Outcome(one, Delivered(), TAKEN)])

    assert await notifications.rows("SELECT ctid::text AS row FROM subscriptions") == [before]


async def test_an_error_of_ours_is_not_held_against_the_subscriber(notifications: Notifications) -> None:
    await backlog(notifications, 1)
    (one,) = await notifications.claim(64)

    await notifications.store([Outcome(one, Retry(0.0), Answer(None, "internal", "ValueError", 0))])

    assert await failures_in_row(notifications) == 0


async def test_a_paused_subscription_keeps_its_deliveries_waiting_without_attempts(
    notifications: Notifications,
) -> None:
    await backlog(notifications, 3, state="paused")

    assert await notifications.claim(64) == []
    assert await notifications.rows("SELECT DISTINCT attempts FROM deliveries") == [{"attempts": 0}]


async def test_a_backlog_of_one_subscription_hides_nobody(notifications: Notifications) -> None:
    await backlog(notifications, 10_000, max_in_flight=2)
    others = [await notifications.subscribe(URL, client=f"client-{number}") for number in range(20)]
    for other in others:
        await notifications.emit(client=other.client)

    claims = await notifications.claim(64)

    served = [claim.subscription_id for claim in claims]
    assert {other.id for other in others} <= set(served)
    assert len(served) == 22


async def test_a_backlog_of_a_resting_subscription_hides_nobody(notifications: Notifications) -> None:
    await backlog(notifications, 10_000, rests_until="2999-01-01")
    other = await notifications.subscribe(URL, client="other")
    await notifications.emit(client="other")

    claims = await notifications.claim(4)

    assert [claim.subscription_id for claim in claims] == [other.id]
