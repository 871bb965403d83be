"""From request to image, over HTTP, through real parts: what a client of the gateway sees."""

import hashlib
import time

import pytest
from standardwebhooks import Webhook

from tests.journeys.orders import MODEL, PARAMETERS, create, create_with_assets, ended, event_types, order, picture
from tests.support.gateway import Gateway
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox


def test_one_image_from_the_model_list_to_the_signed_notification(
    gateway: Gateway, sandbox: Sandbox, receiver: Receiver
) -> None:
    client = gateway.alpha
    subscription = client.post("/api/v1/subscriptions", json={"url": receiver.url}).raise_for_status().json()

    models = client.get("/api/v1/models").raise_for_status().json()
    quote = client.post("/api/v1/quotes", json={"model_id": MODEL, "model_parameters": PARAMETERS}).json()
    task = create(client, client_reference="order 7", metadata={"page": 3})
    done = ended(client, task["id"])
    [notification] = receiver.wait_for(1)

    assert MODEL in {model["model_id"] for model in models["items"]}
    assert quote["credits"] == task["estimated_credits"] == done["credits"] == 1188
    assert (done["state"], done["client_reference"], done["metadata"]) == ("succeeded", "order 7", {"page": 3})
    assert (done["images"][0]["width"], done["images"][0]["height"]) == (2048, 1152)
    told = Webhook(subscription["secret"]).verify(notification.body, dict(notification.headers))
    assert told == {"type": "task.succeeded", "timestamp": told["timestamp"], "data": done}
    assert sandbox.ledger()["creates"][0]["callback_statuses"] == [200]


@pytest.mark.parametrize("count", [0, 1, 10])
def test_references_reach_the_upstream_byte_for_byte_and_in_order(
    count: int, gateway: Gateway, sandbox: Sandbox
) -> None:
    assets = [picture(size_bytes=100_000 + number) for number in range(count)]

    answer = create_with_assets(gateway.alpha, assets)

    assert answer.status_code == 202, answer.text
    [sent] = sandbox.ledger()["creates"]
    hashes = [hashlib.sha256(asset).hexdigest() for asset in assets]
    assert [asset["sha256"] for asset in sent["assets"]] == hashes
    assert [asset["sha256"] for asset in answer.json()["assets"]] == hashes
    assert ended(gateway.alpha, answer.json()["id"])["state"] == "succeeded"


def test_what_is_sent_is_what_was_asked(gateway: Gateway, sandbox: Sandbox) -> None:
    create(gateway.alpha, prompt="Zwei Füchse 🦊", generations_count=2, model_parameters={"resolution": "4K"})

    [sent] = sandbox.ledger()["creates"]
    assert (sent["prompt"], sent["model_id"], sent["generations_count"]) == ("Zwei Füchse 🦊", MODEL, 2)
    assert sent["model_parameters"] == {"resolution": "4K"}


def test_the_callback_address_names_the_task_and_is_no_secret_of_another(gateway: Gateway, sandbox: Sandbox) -> None:
    first, second = create(gateway.alpha), create(gateway.alpha)

    urls = [sent["receive_url"] for sent in sandbox.ledger()["creates"]]

    assert [first["id"] in url for url in urls] == [True, False]
    assert [second["id"] in url for url in urls] == [False, True]
    assert all(url.startswith(f"{gateway.url}/callbacks/") for url in urls)


def test_a_task_belongs_to_its_client(gateway: Gateway) -> None:
    task = create(gateway.alpha)

    foreign = gateway.beta.get(f"/api/v1/tasks/{task['id']}")
    missing = gateway.beta.get("/api/v1/tasks/01890000-0000-7000-8000-000000000000")

    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.json()["detail"] == missing.json()["detail"]
    assert gateway.beta.get("/api/v1/tasks").json()["items"] == []


def test_waiting_ends_with_the_task_and_not_with_the_time(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 1.0})
    task = create(gateway.alpha)

    began = time.monotonic()
    waited = gateway.alpha.get(f"/api/v1/tasks/{task['id']}", params={"wait": 60}).json()

    assert waited["state"] == "succeeded"
    assert time.monotonic() - began < 30


def test_waiting_for_a_slow_task_ends_with_the_time(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 600})
    task = create(gateway.alpha)

    waited = gateway.alpha.get(f"/api/v1/tasks/{task['id']}", params={"wait": 1})

    assert (waited.status_code, waited.json()["state"]) == (200, "processing")
    assert "retry-after" in waited.headers


def test_a_callback_url_of_the_request_is_told_of_this_task_alone(gateway: Gateway, receiver: Receiver) -> None:
    task = create(gateway.alpha, callback_url=receiver.url)
    create(gateway.alpha)
    ended(gateway.alpha, task["id"])

    [notification] = receiver.wait_for(1)

    told = Webhook(task["callback"]["secret"]).verify(notification.body, dict(notification.headers))
    assert (told["type"], told["data"]["id"]) == ("task.succeeded", task["id"])


def test_the_second_request_with_the_same_callback_url_shares_its_subscription(
    gateway: Gateway, receiver: Receiver
) -> None:
    first = create(gateway.alpha, callback_url=receiver.url)
    second = create(gateway.alpha, callback_url=receiver.url)

    assert second["callback"] == {"subscription_id": first["callback"]["subscription_id"], "secret": None}
    received = receiver.wait_for(2)
    ids = {
        Webhook(first["callback"]["secret"]).verify(each.body, dict(each.headers))["data"]["id"] for each in received
    }
    assert ids == {first["id"], second["id"]}


def test_a_failed_task_says_why(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"task_error": {"next": 1, "code": "temporary_model_error", "message": "try later"}})

    done = ended(gateway.alpha, create(gateway.alpha)["id"])

    assert (done["state"], done["images"]) == ("failed", [])
    assert "temporary_model_error" in done["error"]["code"] + done["error"]["message"]
    assert event_types(gateway, done["id"]) == ["task.processing", "task.failed"]


def test_a_refusal_of_the_upstream_is_passed_on_with_its_words(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_error": {"next": 1, "status": 400, "shape": "message", "message": "prompt is not allowed"}})

    answer = gateway.alpha.post("/api/v1/tasks", json=order())

    assert (answer.status_code, answer.json()["code"]) == (422, "upstream_refused")
    assert "prompt is not allowed" in answer.json()["detail"]
    [task] = gateway.alpha.get("/api/v1/tasks").json()["items"]
    assert (task["state"], task["error"]["message"]) == ("failed", "prompt is not allowed")


def test_the_list_shows_the_same_task_as_the_task_itself(gateway: Gateway) -> None:
    task = ended(gateway.alpha, create(gateway.alpha)["id"])

    [listed] = gateway.alpha.get("/api/v1/tasks", params={"state": "succeeded"}).json()["items"]

    assert listed == task
