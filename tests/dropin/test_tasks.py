"""What a client of the drop-in surface finds: its tasks as the image API would show them, and none of its moods."""

from itertools import pairwise

import orjson
import pytest

from tests.dropin.orders import CREATE, WISH, create, ended, flat, shown
from tests.journeys.native_orders import picture
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

LOST_REFERENCES = {
    "JSON: image_urls": {"json": {**WISH, "image_urls": ["https://example.com/a.png"]}},
    "JSON: reference_images": {"json": {**WISH, "reference_images": ["a.png"]}},
    "JSON: assets": {"json": {**WISH, "assets": ["a.png"]}},
    "form: image_urls": {"data": {**WISH, "image_urls": "https://example.com/a.png"}},
    "multipart: reference_images": {"data": WISH, "files": {"reference_images": ("a.png", picture())}},
    "multipart: assets[]": {"data": WISH, "files": {"assets[]": ("a.png", picture())}},
    "multipart: image_urls": {"data": {**WISH, "image_urls": "[]"}, "files": {"assets": ("a.png", picture())}},
}


def test_a_task_that_waits_for_its_turn_is_doing_and_has_its_price(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "1"})
    sandbox.moods({"duration_s": 1})
    create(gateway.alpha)

    waiting = create(gateway.alpha)

    assert waiting["estimated_credits"] == 1188
    task = shown(gateway, waiting["task_id"])
    assert (task["status"], task["credit_cost"], task["progress"]) == ("doing", 0, None)
    assert ended(gateway.alpha, waiting["task_id"])["credit_cost"] == 1188


def test_a_create_of_unknown_outcome_is_doing_until_it_is_known(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": "accepted"}})

    created = create(gateway.alpha)

    assert created["estimated_credits"] == 1188
    assert ended(gateway.alpha, created["task_id"])["status"] == "done"
    assert sandbox.ledger()["creates_total"] == 1


def test_polls_cost_nothing_upstream_and_go_on_while_the_image_api_is_down(gateway: Gateway, sandbox: Sandbox) -> None:
    task_id = create(gateway.alpha)["task_id"]
    ended(gateway.alpha, task_id)
    sandbox.moods({"down": "close"})

    polls = [gateway.alpha.get(path) for path in (f"/v1/task/{task_id}", f"/v3/task/{task_id}", "/v1/tasks")]

    assert [answer.status_code for answer in polls] == [200, 200, 200]
    assert sandbox.ledger()["polls"] == sandbox.ledger()["lists"] == 0


def test_models_balance_and_health_are_the_last_known_while_the_image_api_is_down(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_CREDITS_FRESH_S": "0.05", "GATEWAY_MODELS_FRESH_S": "0.05"})
    paths = ("/v1i/models", "/v1/credits", "/v1/health-check")
    before = [gateway.alpha.get(path).json() for path in paths]
    sandbox.moods({"down": "503"})

    during = [gateway.alpha.get(path).json() for path in paths]

    assert before == during


def test_a_create_is_answered_with_credits_also_when_the_balance_is_not_to_be_had(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway()
    sandbox.moods({"credits_error": {"rate": 1.0}, "estimated_credits_form": "missing"})

    created = create(gateway.alpha)

    assert (created["estimated_credits"], created["ec_remain_credits"]) == (1188, "0")


def test_the_balance_goes_down_with_each_create_and_not_with_a_replay(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway()
    keys = [{"Idempotency-Key": key} for key in ("one", "two", "two", "three")]

    answers = [gateway.alpha.post(CREATE, json=flat(), headers=key).json() for key in keys]

    left = [int(answer["ec_remain_credits"]) for answer in answers]
    assert [before - after for before, after in pairwise(left)] == [1188, 0, 1188]
    assert left[-1] == sandbox.ledger()["balance"]


@pytest.mark.parametrize("sent", LOST_REFERENCES.values(), ids=LOST_REFERENCES.keys())
def test_references_that_would_be_lost_are_refused_and_the_right_field_is_named(
    gateway: Gateway, sandbox: Sandbox, sent: dict[str, object]
) -> None:
    answer = gateway.alpha.request("POST", CREATE, **sent)

    assert answer.status_code == 400
    assert "assets" in answer.json()["message"]
    assert sandbox.ledger()["creates_total"] == 0


def test_a_list_has_my_tasks_newest_first_and_their_number(gateway: Gateway, sandbox: Sandbox) -> None:
    mine = [create(gateway.alpha, prompt=f"View {number}")["task_id"] for number in range(3)]
    create(gateway.beta)

    pages = [gateway.alpha.get("/v1/tasks", params={"page": page, "limit": 2}).json() for page in (1, 2)]

    assert [task["id"] for page in pages for task in page["data"]] == mine[::-1]
    assert [(page["page"], page["limit"], page["total"]) for page in pages] == [(1, 2, 3), (2, 2, 3)]


@pytest.mark.parametrize("path", ["/v1/task/{}", "/v1/task/{}/full", "/v3/task/{}"])
def test_nobody_polls_the_task_of_another_client(gateway: Gateway, path: str) -> None:
    task_id = create(gateway.alpha)["task_id"]

    assert gateway.beta.get(path.format(task_id)).status_code == 404


def test_tasks_of_the_native_surface_are_seen_too(gateway: Gateway) -> None:
    native = gateway.alpha.post("/api/v1/tasks", json={**WISH, "generations_count": 2}).json()

    task = ended(gateway.alpha, native["id"])

    assert len(task["metadata"]["result_images"]) == 2
    assert task["metadata"]["audio_url"] == task["metadata"]["result_images"][0]["imageUrl"]


def test_a_failed_task_is_in_error_with_the_image_apis_words_and_costs_nothing(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    sandbox.moods({"task_error": {"next": 1}})

    task = ended(gateway.alpha, create(gateway.alpha)["task_id"])

    assert (task["status"], task["credit_cost"], task["progress"]) == ("error", 0, None)
    assert "temporary_model_error" in task["error_message"]


def test_images_that_come_after_the_gateway_gave_up_are_shown_all_the_same(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 2})
    task_id = gateway.alpha.post("/api/v1/tasks", json={**WISH, "deadline_s": 1}).json()["id"]

    late = eventually(lambda: shown(gateway, task_id)["metadata"].get("result_images"), what="the late image")

    task = shown(gateway, task_id)
    assert (task["status"], task["metadata"]["audio_url"]) == ("error", late[0]["imageUrl"])


def test_deleting_a_waiting_task_ends_it_unsent(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "1"})
    sandbox.moods({"stuck": {"next": 1}})
    create(gateway.alpha)
    waiting = create(gateway.alpha)["task_id"]

    deleted = gateway.alpha.post("/v1/task/delete", json={"task_ids": [waiting, "nobody's"]})

    assert deleted.json() == {"success": True, "refunded_credits": 0}
    task = shown(gateway, waiting)
    assert (task["status"], task["error_message"]) == ("error", "The task was canceled.")


def test_deleting_a_sent_task_gives_back_what_the_image_api_does(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_CANCEL": "true"})
    sandbox.moods({"stuck": {"next": 1}})
    task_id = create(gateway.alpha)["task_id"]

    deleted = gateway.alpha.post("/v1/task/delete", json={"task_ids": [task_id]})

    assert deleted.json() == {"success": True, "refunded_credits": 1188}
    assert sandbox.ledger()["creates"][0]["refunded"] == 1188


def test_nobody_deletes_the_task_of_another_client(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_CANCEL": "true"})
    sandbox.moods({"stuck": {"next": 1}})
    task_id = create(gateway.alpha)["task_id"]

    deleted = gateway.beta.post("/v1/task/delete", json={"task_ids": [task_id]})

    assert deleted.json()["refunded_credits"] == 0
    assert shown(gateway, task_id)["status"] == "doing"


def test_what_nobody_can_take_now_is_told_with_the_time_to_come_back(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "1", "GATEWAY_QUEUE_MAX_TASKS": "0"})
    sandbox.moods({"stuck": {"next": 1}})
    create(gateway.alpha)

    answer = gateway.alpha.post(CREATE, json=flat())

    assert (answer.status_code, answer.json()["success"]) == (429, False)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_form_of_any_size_is_bounded(gateway: Gateway) -> None:
    answers = [
        gateway.alpha.post(CREATE, json=flat(prompt="x" * 300_000)),
        gateway.alpha.post(CREATE, data=flat(prompt="x" * 300_000)),
        gateway.alpha.post(CREATE, data=WISH, files={"assets": ("a.png", picture().ljust(6_000_000, b"\0"))}),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(413, "body_too_large")] * 3


def test_the_end_is_told_to_the_receive_url_in_the_form_of_a_poll(gateway: Gateway, receiver: Receiver) -> None:
    created = create(gateway.alpha, receive_url=receiver.url)

    told = receiver.wait_for(1)[0]

    assert told.headers["Content-Type"] == "application/json"
    assert orjson.loads(told.body) == gateway.alpha.get(f"/v1/task/{created['task_id']}").json()
    assert orjson.loads(told.body)["status"] == "done"


def test_a_receive_url_that_may_not_be_called_is_refused_by_its_name(gateway: Gateway) -> None:
    answer = gateway.alpha.post(CREATE, json=flat(receive_url="http://169.254.169.254/latest"))

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "receive_url"
