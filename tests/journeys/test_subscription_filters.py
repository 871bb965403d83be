"""Which events a subscription gets, and in which form: filters on the task, the image API's own form beside ours."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.journeys.orders import create, ended
from tests.journeys.subscribers import about, fits, path_of, subscribe
from tests.support.gateway import Gateway
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox

MODEL, OTHER_MODEL = "bytedance-seedream-4.5", "gpt-image-1"
TASK = {"client_reference": "order 7", "metadata": {"shop": {"id": 3, "city": "Köln"}, "tags": ["a", "b"], "page": 1}}


@pytest.fixture
def two() -> Iterator[tuple[Receiver, Receiver]]:
    """A receiver for the subscription under test, and one that hears of everything."""
    with ExitStack() as stack:
        yield stack.enter_context(Receiver()), stack.enter_context(Receiver())


@pytest.mark.parametrize(
    ("wanted", "is_told"),
    [
        ({"model_id": [MODEL]}, True),
        ({"model_id": [OTHER_MODEL, MODEL]}, True),
        ({"model_id": [OTHER_MODEL]}, False),
        ({"client_reference": ["order 7", "order 8"]}, True),
        ({"client_reference": ["order 8"]}, False),
        ({"metadata": {"page": 1}}, True),
        ({"metadata": {"shop": {"city": "Köln"}, "page": 1}}, True),
        ({"metadata": {"tags": ["b"]}}, True),
        ({"metadata": {"page": 2}}, False),
        ({"metadata": {"page": "1"}}, False),
        ({"metadata": {"shop": {"id": 3, "street": "Hohe Straße"}}}, False),
        ({"model_id": [MODEL], "client_reference": ["order 7"], "metadata": {"page": 1}}, True),
        ({"model_id": [MODEL], "client_reference": ["order 8"], "metadata": {"page": 1}}, False),
    ],
    ids=str,
)
def test_a_filter_decides_by_the_task(
    gateway: Gateway, two: tuple[Receiver, Receiver], wanted: dict[str, Any], is_told: bool
) -> None:
    filtered, everything = two
    subscribe(gateway.alpha, filtered.url, filter=wanted)
    subscribe(gateway.alpha, everything.url)

    task = ended(gateway.alpha, create(gateway.alpha, **TASK)["id"])
    everything.wait_for(1)
    rows = gateway.database.rows(
        "SELECT event_id FROM deliveries UNION ALL SELECT event_id FROM delivery_results WHERE state = 'delivered'"
    )

    assert len(rows) == 1 + is_told
    assert about(task, everything) == [1]
    if is_told:
        filtered.wait_for(1)


def test_a_task_without_a_reference_fits_no_filter_on_references(gateway: Gateway, receiver: Receiver) -> None:
    subscribe(gateway.alpha, receiver.url, filter={"client_reference": ["order 7"]})

    ended(gateway.alpha, create(gateway.alpha)["id"])

    assert gateway.database.value("SELECT count(*) FROM deliveries") == 0


def test_a_changed_filter_holds_for_the_next_event(gateway: Gateway, receiver: Receiver) -> None:
    made = subscribe(gateway.alpha, receiver.url, filter={"client_reference": ["order 8"]})
    unheard = ended(gateway.alpha, create(gateway.alpha, **TASK)["id"])

    gateway.alpha.patch(path_of(made), json={"filter": {"client_reference": ["order 7"]}}).raise_for_status()
    heard = ended(gateway.alpha, create(gateway.alpha, **TASK)["id"])

    receiver.wait_for(1)
    assert (about(unheard, receiver), about(heard, receiver)) == ([0], [1])


def test_one_address_can_have_both_forms_and_each_is_signed(
    gateway: Gateway, sandbox: Sandbox, receiver: Receiver
) -> None:
    standard = subscribe(gateway.alpha, receiver.url)
    upstream = subscribe(gateway.alpha, receiver.url, format="upstream")

    task = ended(gateway.alpha, create(gateway.alpha)["id"])

    received = receiver.wait_for(2)
    [ours] = [each for each in received if fits(standard["secret"], each)]
    [theirs] = [each for each in received if fits(upstream["secret"], each)]
    assert json.loads(ours.body)["data"] == task
    told = json.loads(theirs.body)
    assert (told["id"], told["type"], told["status"]) == (task["id"], "imagen2", "done")
    assert told["metadata"]["result_images"][0]["imageUrl"] == task["images"][0]["url"]
    assert ours.headers["webhook-id"] == theirs.headers["webhook-id"]
    [event] = gateway.database.rows("SELECT body, upstream_body FROM events WHERE type = 'task.succeeded'")
    assert (ours.body, theirs.body) == (event["body"].encode(), event["upstream_body"].encode())


def test_a_failure_is_told_in_the_image_apis_form_too(gateway: Gateway, sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.moods({"task_error": {"next": 1, "message": "the brush broke"}})
    subscribe(gateway.alpha, receiver.url, format="upstream")

    task = ended(gateway.alpha, create(gateway.alpha)["id"])

    told = json.loads(receiver.wait_for(1)[0].body)
    assert (told["id"], told["status"]) == (task["id"], "error")
    assert "the brush broke" in told["error_message"]


def test_nobody_pays_for_the_image_apis_form_where_nobody_wants_it(gateway: Gateway, receiver: Receiver) -> None:
    subscribe(gateway.alpha, receiver.url)

    ended(gateway.alpha, create(gateway.alpha)["id"])

    assert gateway.database.rows("SELECT upstream_body FROM events WHERE upstream_body IS NOT NULL") == []
