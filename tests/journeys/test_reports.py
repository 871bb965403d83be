"""The upstream's door: whatever comes through it, in whatever order, a task has one end and tells it once."""

import json
from typing import Any

import httpx
import pytest

from tests.journeys.orders import create, ended, event_types, in_state
from tests.support.gateway import Gateway
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox


def receive_url(sandbox: Sandbox, number: int = 0) -> str:
    return str(sandbox.ledger()["creates"][number]["receive_url"])


def report(task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A finished task object of the upstream for this task."""
    image = {"id": "i1", "imageUrl": "https://cdn.example/1.png", "mimeType": "image/png", "width": 8, "height": 6}
    done = {"id": task["upstream_task_id"], "type": "imagen2", "status": "done", "progress": 100, "credit_cost": 1188}
    return done | {"metadata": {"result_images": [image]}} | fields


def outcomes(gateway: Gateway) -> list[str]:
    """What became of the reports, in the order in which they came."""
    return [row["outcome"] for row in gateway.database.rows("SELECT outcome FROM reports ORDER BY id")]


@pytest.fixture
def running(gateway: Gateway, sandbox: Sandbox) -> dict[str, Any]:
    """A task that the sandbox will not end by itself."""
    sandbox.moods({"duration_s": 3600})
    return create(gateway.alpha)


def test_a_callback_before_the_create_answer_settles_the_task(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"callback_early": {"next": 1}, "answer_delay_s": 0.3})

    task = create(gateway.alpha)

    assert (task["state"], task["upstream_task_id"], task["estimated_credits"]) == (
        "succeeded",
        sandbox.ledger()["creates"][0]["task_id"],
        1188,
    )
    assert event_types(gateway, task["id"]) == ["task.succeeded"]


def test_a_second_identical_callback_notifies_nobody(
    gateway: Gateway, sandbox: Sandbox, receiver: Receiver, running: dict[str, Any]
) -> None:
    gateway.alpha.post("/api/v1/subscriptions", json={"url": receiver.url}).raise_for_status()
    url, body = receive_url(sandbox), report(running)

    answers = [httpx.post(url, json=body).status_code for _ in range(3)]
    receiver.wait_for(1)

    assert answers == [200, 200, 200]
    assert event_types(gateway, running["id"]) == ["task.processing", "task.succeeded"]
    assert outcomes(gateway) == ["moved", "no_move", "no_move"]
    assert gateway.database.value("SELECT count(*) FROM deliveries") == 0
    assert len(receiver.received()) == 1


def test_a_callback_that_contradicts_the_end_changes_nothing(
    gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    url = receive_url(sandbox)
    httpx.post(url, json=report(running))
    first = gateway.alpha.get(f"/api/v1/tasks/{running['id']}").json()

    answer = httpx.post(url, json=report(running, status="error", error_message="no"))

    assert answer.status_code == 200
    assert gateway.alpha.get(f"/api/v1/tasks/{running['id']}").json() == first


def test_a_late_result_is_kept_on_a_task_that_we_had_given_up(
    gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    gateway.database.execute(
        "UPDATE tasks SET created_at = now() - interval '2 days', poll_at = now() WHERE id = $1", running["id"]
    )
    given_up = in_state(gateway, running["id"], "failed")

    answer = httpx.post(receive_url(sandbox), json=report(running))
    late = gateway.alpha.get(f"/api/v1/tasks/{running['id']}").json()
    httpx.post(receive_url(sandbox), json=report(running))

    assert given_up["error"]["code"] == "deadline_exceeded"
    assert answer.status_code == 200
    assert (late["state"], late["error"]["code"], late["credits"]) == ("failed", "deadline_exceeded", 1188)
    assert len(late["images"]) == 1
    assert event_types(gateway, running["id"]) == ["task.processing", "task.failed", "task.result_late"]


@pytest.mark.parametrize("where", ["token", "attempt", "task", "no token at all"])
def test_a_forged_address_is_404_and_leaves_no_trace(
    where: str, gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    url = receive_url(sandbox)
    forged = {
        "token": url[:-1] + ("A" if url[-1] != "A" else "B"),
        "attempt": url.replace("/1.", "/2."),
        "task": url.replace(running["id"], "01890000-0000-7000-8000-000000000000"),
        "no token at all": url.rsplit("/", 1)[0] + "/x",
    }[where]

    answer = httpx.post(forged, json=report(running))

    assert answer.status_code == 404
    assert outcomes(gateway) == []
    assert gateway.alpha.get(f"/api/v1/tasks/{running['id']}").json()["state"] == "processing"


def test_a_bad_token_looks_the_same_whether_the_task_exists_or_not(
    gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    known = httpx.post(f"{gateway.url}/callbacks/{running['id']}/1.{'A' * 32}", json={})
    unknown = httpx.post(f"{gateway.url}/callbacks/01890000-0000-7000-8000-000000000000/1.{'A' * 32}", json={})

    assert _shape(known) == _shape(unknown)


def test_a_report_with_another_upstream_id_moves_nothing_and_has_the_upstream_asked(
    gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    sandbox.api.post(f"/_sandbox/tasks/{running['upstream_task_id']}/finish")
    gateway.database.execute("DELETE FROM reports")
    other = create(gateway.alpha)

    answer = httpx.post(receive_url(sandbox, 1), json=report(running))

    assert answer.status_code == 200
    assert gateway.alpha.get(f"/api/v1/tasks/{other['id']}").json()["upstream_task_id"] == other["upstream_task_id"]
    assert outcomes(gateway)[-1:] == ["foreign"]
    assert gateway.alpha.get(f"/api/v1/tasks/{other['id']}").json()["state"] == "processing"
    asked = "SELECT polls > 0 OR poll_at <= now() FROM tasks WHERE id = $1"
    assert gateway.database.value(asked, other["id"]) is True


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[1, 2]", b'{"hello": "world"}', b"\xff\xfe", b'{"id": null, "status": 7}'],
    ids=["empty", "text", "a list", "no task", "no text", "odd types"],
)
def test_what_cannot_be_read_is_kept_and_has_the_upstream_asked(
    body: bytes, gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    answer = httpx.post(receive_url(sandbox), content=body, headers={"Content-Type": "image/png"})

    assert answer.status_code == 200
    assert gateway.database.rows("SELECT body, outcome FROM reports") == [{"body": body, "outcome": "no_move"}]
    assert gateway.database.value("SELECT poll_at <= now() + interval '91 s' FROM tasks") is True
    assert gateway.alpha.get(f"/api/v1/tasks/{running['id']}").json()["state"] == "processing"


@pytest.mark.parametrize("announced", [True, False], ids=["with a length", "chunked"])
def test_a_ten_megabyte_body_is_413(
    announced: bool, gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    body = json.dumps(report(running)).encode().ljust(10_000_000)
    pieces = body if announced else (body[start : start + 65536] for start in range(0, len(body), 65536))

    try:
        status = httpx.post(receive_url(sandbox), content=pieces).status_code
    except httpx.TransportError:  # we stop reading and close; the sender may be busy sending still
        status = 413

    assert status == 413
    assert outcomes(gateway) == []
    assert gateway.alpha.get(f"/api/v1/tasks/{running['id']}").json()["state"] == "processing"


def test_a_good_token_without_a_task_is_stored_as_an_orphan(
    gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    gateway.database.execute("DELETE FROM tasks")

    answer = httpx.post(receive_url(sandbox), json=report(running))

    assert answer.status_code == 200
    assert outcomes(gateway) == ["orphan"]


def test_only_post_opens_the_door(gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]) -> None:
    answer = httpx.get(receive_url(sandbox))

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_done_without_an_image_is_no_end_yet(gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]) -> None:
    url = receive_url(sandbox)

    httpx.post(url, json=report(running, metadata={"result_images": []}))
    early = gateway.alpha.get(f"/api/v1/tasks/{running['id']}").json()
    httpx.post(url, json=report(running))

    assert early["state"] == "processing"
    assert ended(gateway.alpha, running["id"])["state"] == "succeeded"


def test_no_token_key_or_prompt_is_ever_logged(gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]) -> None:
    url = receive_url(sandbox)
    httpx.post(url, json=report(running))
    httpx.post(url, content=b"x" * 300_000)
    httpx.get(url)

    log = gateway.program.log_of_this_test()

    assert "/callbacks/{task_id}/{token}" in log
    for secret in (url.rsplit("/", 1)[1], running["prompt"], gateway.environment["GATEWAY_UPSTREAM_API_KEY"]):
        assert secret not in log


def _shape(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    return answer.status_code, {name: value for name, value in answer.json().items() if name != "request_id"}
