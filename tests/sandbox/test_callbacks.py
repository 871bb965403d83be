"""How the end of a task is told: on time, late, never, twice, too early, forged, held back; what the ledger says."""

import json
import time
from typing import Any

import pytest

from tests.sandbox.orders import create, created, ended, entry, poll
from tests.support.receiver import Answer, Received, Receiver
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually


def made(sandbox: Sandbox, receiver: Receiver, moods: dict[str, Any]) -> str:
    sandbox.moods({"duration_s": 0, **moods})
    return created(sandbox, {"receive_url": receiver.url})


def told(sandbox: Sandbox, task_id: str, count: int = 1) -> list[int | str]:
    """The statuses that the receiver gave, once there are so many."""
    return (
        eventually(lambda: len(statuses := entry(sandbox, task_id)["callback_statuses"]) >= count and list(statuses))
        or []
    )


def body(request: Received) -> Any:
    return json.loads(request.body)


@pytest.mark.parametrize("moods", [{}, {"task_error": {"next": 1}}], ids=["done", "error"])
def test_a_callback_is_the_task_as_a_poll_shows_it(sandbox: Sandbox, receiver: Receiver, moods: dict[str, Any]) -> None:
    task_id = made(sandbox, receiver, moods)

    (callback,) = receiver.wait_for(1)

    assert (callback.method, callback.headers["Content-Type"]) == ("POST", "application/json")
    assert body(callback) == poll(sandbox, task_id)


def test_the_ledger_keeps_what_receivers_answered(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answer(Answer(status=503))

    task_id = made(sandbox, receiver, {})

    assert told(sandbox, task_id) == [503]
    assert entry(sandbox, task_id)["callbacks_sent"] == 1


def test_a_receiver_that_is_not_there_is_told_once_and_noted(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0})

    task_id = created(sandbox, {"receive_url": "http://127.0.0.1:9/nobody"})

    assert told(sandbox, task_id) == ["ClientConnectorError"]


def test_a_slow_receiver_is_given_up(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answer(then=Answer(ending="hang"))

    task_id = made(sandbox, receiver, {"callback_timeout_s": 0.2})

    (status,) = told(sandbox, task_id)
    assert "Timeout" in str(status)


def test_redirects_of_a_receiver_are_not_followed(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answer(Answer(status=307, headers={"Location": receiver.url}))

    task_id = made(sandbox, receiver, {})

    assert told(sandbox, task_id) == [307]
    assert len(receiver.received()) == 1


def test_a_callback_can_be_late(sandbox: Sandbox, receiver: Receiver) -> None:
    task_id = made(sandbox, receiver, {"callback_delay_s": 0.4})
    ended(sandbox, task_id)
    ended_s = time.monotonic()

    (callback,) = receiver.wait_for(1)

    assert callback.arrived_at_s - ended_s > 0.2


@pytest.mark.parametrize("moods", [{"callbacks": "off"}, {"callback_lost": {"next": 1}}], ids=["all", "the next"])
def test_a_callback_can_be_lost(sandbox: Sandbox, receiver: Receiver, moods: dict[str, Any]) -> None:
    lost = made(sandbox, receiver, moods)
    ended(sandbox, lost)

    sandbox.moods({"callbacks": "on"})
    sent = created(sandbox, {"receive_url": receiver.url})

    assert body(receiver.wait_for(1)[0])["id"] == sent
    assert entry(sandbox, lost)["callbacks_sent"] == 0
    assert sandbox.ledger()["callbacks_lost"] == 1


def test_a_callback_can_come_twice(sandbox: Sandbox, receiver: Receiver) -> None:
    task_id = made(sandbox, receiver, {"callback_twice": {"next": 1}})

    first, second = receiver.wait_for(2)

    assert first.body == second.body
    assert told(sandbox, task_id, 2) == [204, 204]


def test_a_callback_can_be_answered_before_the_create_is(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.moods({"callback_early": {"next": 1}, "duration_s": 600})

    answer = create(sandbox, {"receive_url": receiver.url}).json()

    (callback,) = receiver.received()
    assert body(callback)["id"] == answer["task_id"]
    assert poll(sandbox, answer["task_id"])["status"] == "done"
    assert entry(sandbox, answer["task_id"])["callback_statuses"] == [204]


def test_a_slow_answer_lets_the_callback_come_first(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.moods({"answer_delay_s": 0.5, "duration_s": 0})

    create(sandbox, {"receive_url": receiver.url}).raise_for_status()

    assert len(receiver.received()) == 1


@pytest.mark.parametrize(
    ("moods", "true", "false"), [({}, "done", "error"), ({"task_error": {"next": 1}}, "error", "done")]
)
def test_a_forgery_can_claim_the_opposite(
    sandbox: Sandbox, receiver: Receiver, moods: dict[str, Any], true: str, false: str
) -> None:
    task_id = made(sandbox, receiver, {"callback_forged": {"next": 1}, **moods})

    forged, honest = receiver.wait_for(2)

    assert [(body(each)["id"], body(each)["status"]) for each in (forged, honest)] == [
        (task_id, false),
        (task_id, true),
    ]


def test_a_forgery_can_name_another_task(sandbox: Sandbox, receiver: Receiver) -> None:
    task_id = made(sandbox, receiver, {"callback_forged": {"next": 1, "form": "foreign_id"}})

    forged, honest = receiver.wait_for(2)

    assert body(forged)["id"] != body(honest)["id"] == task_id


def test_a_forgery_can_guess_the_url(sandbox: Sandbox, receiver: Receiver) -> None:
    made(sandbox, receiver, {"callback_forged": {"next": 1, "form": "wrong_token"}})

    forged, honest = receiver.wait_for(2)

    assert forged.path != honest.path
    assert forged.path[:-1] == honest.path[:-1]


def test_a_forgery_can_be_no_json(sandbox: Sandbox, receiver: Receiver) -> None:
    made(sandbox, receiver, {"callback_forged": {"next": 1, "form": "garbage"}})

    forged, _ = receiver.wait_for(2)

    with pytest.raises(ValueError, match="Unterminated"):
        body(forged)


def test_held_callbacks_leave_when_they_are_released(sandbox: Sandbox, receiver: Receiver) -> None:
    held = [made(sandbox, receiver, {"callbacks": "held"}) for _ in range(3)]
    for task_id in held:
        ended(sandbox, task_id)
    before = len(receiver.received()), sandbox.ledger()["callbacks_held"]

    one = sandbox.api.post("/_sandbox/callbacks/release", json={"task_ids": held[:1]}).json()
    rest = sandbox.api.post("/_sandbox/callbacks/release").json()

    assert before == (0, 3)
    assert one == {"released": 1, "statuses": {held[0]: [204]}}
    assert rest == {"released": 2, "statuses": {held[1]: [204], held[2]: [204]}}
    assert [body(each)["id"] for each in receiver.received()[:1]] == held[:1]


def test_a_release_need_not_wait_for_the_receivers(sandbox: Sandbox, receiver: Receiver) -> None:
    ended(sandbox, made(sandbox, receiver, {"callbacks": "held"}))
    receiver.answer(then=Answer(ending="hang"))

    assert sandbox.api.post("/_sandbox/callbacks/release?wait=0").json() == {"released": 1, "statuses": {}}
    assert receiver.wait_for(1)


def test_a_callback_can_be_sent_by_hand_at_any_time(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.moods({"duration_s": 600})
    task_id = created(sandbox, {"receive_url": receiver.url})

    doing = sandbox.api.post(f"/_sandbox/tasks/{task_id}/callback").json()
    sandbox.api.post(f"/_sandbox/tasks/{task_id}/callback", json={"id": task_id, "status": "odd"})

    assert doing == {"success": True, "status": 204}
    assert [body(each)["status"] for each in receiver.received()] == ["doing", "odd"]


def test_a_callback_can_have_another_content_type_and_length(sandbox: Sandbox, receiver: Receiver) -> None:
    made(sandbox, receiver, {"callback_content_type": "text/plain", "callback_padding_bytes": 300_000})

    (callback,) = receiver.wait_for(1)

    assert callback.headers["Content-Type"] == "text/plain"
    assert len(callback.body) > 300_000
    assert body(callback)["status"] == "done"


def test_a_task_ended_by_hand_calls_back_as_well(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.moods({"duration_s": 600})
    done, failed = (created(sandbox, {"receive_url": receiver.url}) for _ in range(2))

    sandbox.api.post(f"/_sandbox/tasks/{done}/finish").raise_for_status()
    sandbox.api.post(f"/_sandbox/tasks/{failed}/fail", json={"message": "by hand", "refund": False}).raise_for_status()

    ends = {body(each)["id"]: body(each) for each in receiver.wait_for(2)}
    assert (ends[done]["status"], ends[failed]["status"]) == ("done", "error")
    assert ends[failed]["error_message"] == "temporary_model_error: by hand"
    assert entry(sandbox, failed)["refunded"] == 0


def test_a_task_without_a_receive_url_tells_nobody(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0})

    task_id = created(sandbox)
    ended(sandbox, task_id)

    assert entry(sandbox, task_id)["receive_url"] is None
    assert sandbox.ledger()["callbacks_sent"] == 0
    assert sandbox.api.post(f"/_sandbox/tasks/{task_id}/callback").status_code == 409
