"""How a subscription fares, in figures: what waits, what arrived, what did not, how fast, and why not."""

from typing import Any

import httpx
import pytest

from tests.journeys.after_the_fact import happened, moment_after, over, waiting
from tests.journeys.orders import create, ended
from tests.journeys.subscribers import path_of, subscribe
from tests.support.gateway import Gateway
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually

ATTEMPT = """
INSERT INTO delivery_attempts (id, delivery_id, number, duration_ms, status, error_class)
SELECT gateway_uuid7(now()), $1, n, n * 10, 503, CASE WHEN n % 10 = 0 THEN 'http' END FROM generate_series(1, 100) AS n
"""


def stats(client: httpx.Client, subscription: dict[str, Any], **params: str) -> dict[str, Any]:
    answer = client.get(path_of(subscription, "stats"), params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_new_subscription_has_nothing_to_tell(gateway: Gateway) -> None:
    figures = stats(gateway.alpha, subscribe(gateway.alpha, "http://127.0.0.1:9/hook"))

    assert (figures["pending"], figures["oldest_pending_at"], figures["delivered"], figures["dead"]) == (0, None, 0, 0)
    assert figures["sample"] == {
        "deliveries": 0,
        "attempts": 0,
        "failures": {},
        "duration_ms_p50": None,
        "duration_ms_p95": None,
    }


def test_deliveries_are_counted_by_what_came_of_them(gateway: Gateway) -> None:
    subscription, other = (subscribe(gateway.alpha, f"http://127.0.0.1:9/{name}") for name in ("one", "other"))
    events = happened(gateway.database, 7)
    over(gateway.database, events[:4], subscription)
    over(gateway.database, events[4:5], subscription, state="dead")
    waiting(gateway.database, events[5:], subscription)
    waiting(gateway.database, events, other)

    figures = stats(gateway.alpha, subscription)

    assert (figures["delivered"], figures["dead"], figures["pending"], figures["attempts"]) == (4, 1, 2, 5)
    assert figures["oldest_pending_at"] is not None


def test_attempts_tell_how_long_they_took_and_why_they_failed(gateway: Gateway) -> None:
    subscription = subscribe(gateway.alpha, "http://127.0.0.1:9/hook")
    [delivery] = over(gateway.database, happened(gateway.database), subscription)
    gateway.database.execute(ATTEMPT, delivery)

    sample = stats(gateway.alpha, subscription)["sample"]

    assert sample == {
        "deliveries": 1,
        "attempts": 100,
        "failures": {"http": 10},
        "duration_ms_p50": 500,
        "duration_ms_p95": 950,
    }


def test_what_the_engine_stored_is_what_the_figures_tell(gateway: Gateway, receiver: Receiver) -> None:
    receiver.answer(Answer(500))
    subscription = subscribe(gateway.alpha, receiver.url)
    ended(gateway.alpha, create(gateway.alpha)["id"])
    receiver.wait_for(2)

    figures = eventually(
        lambda: found if (found := stats(gateway.alpha, subscription))["delivered"] else None, what="it is delivered"
    )

    assert (figures["attempts"], figures["pending"]) == (2, 0)
    assert (figures["sample"]["attempts"], figures["sample"]["failures"]) == (2, {"http": 1})


def test_what_was_made_before_the_time_does_not_count(gateway: Gateway) -> None:
    subscription = subscribe(gateway.alpha, "http://127.0.0.1:9/hook")
    over(gateway.database, happened(gateway.database, 2), subscription)
    later = moment_after()
    over(gateway.database, happened(gateway.database), subscription)

    assert stats(gateway.alpha, subscription, since=later)["delivered"] == 1


@pytest.mark.parametrize(
    ("params", "status", "field"),
    [({"since": "2020-01-01T00:00:00Z"}, 422, "since"), ({"since": "-1"}, 422, "since"), ({"from": "x"}, 400, "from")],
    ids=str,
)
def test_a_wrong_parameter_is_named(gateway: Gateway, params: dict[str, str], status: int, field: str) -> None:
    subscription = subscribe(gateway.alpha, "http://127.0.0.1:9/hook")

    answer = gateway.alpha.get(path_of(subscription, "stats"), params=params)

    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]


def test_nobody_sees_the_figures_of_anothers_subscription(gateway: Gateway) -> None:
    subscription = subscribe(gateway.alpha, "http://127.0.0.1:9/hook")

    assert gateway.beta.get(path_of(subscription, "stats")).status_code == 404
