"""When the upstream says nothing, or something odd, the gateway finds out by itself."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.journeys.orders import create, ended, event_types, in_state, order
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

IMPATIENT = {"GATEWAY_RECONCILE_QUIET_S": "0.2", "GATEWAY_RECONCILE_POLLS_PER_S": "50"}


@pytest.fixture
def impatient(start_gateway: StartGateway) -> Gateway:
    """A gateway that asks about a quiet task after a moment."""
    return start_gateway(IMPATIENT)


def test_a_lost_callback_is_made_up_for_by_asking(impatient: Gateway, sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.moods({"callbacks": "off"})
    impatient.alpha.post("/api/v1/subscriptions", json={"url": receiver.url}).raise_for_status()

    done = ended(impatient.alpha, create(impatient.alpha)["id"])

    assert (done["state"], done["credits"], len(done["images"])) == ("succeeded", 1188, 1)
    assert len(receiver.wait_for(1)) == 1
    assert impatient.database.value("SELECT source FROM reports") == "poll"


def test_without_a_public_url_everything_works_by_asking(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_PUBLIC_URL": "", "GATEWAY_RECONCILE_FIRST_S": "0.2"})

    done = ended(gateway.alpha, create(gateway.alpha)["id"])

    assert done["state"] == "succeeded"
    assert sandbox.ledger()["creates"][0]["receive_url"] in (None, "")


@pytest.mark.parametrize("form", ["503", "429", "200"])
def test_no_client_sees_a_busy_upstream(form: str, impatient: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"callbacks": "off", "busy_poll": {"rate": 0.5, "form": form}})

    tasks = [create(impatient.alpha) for _ in range(6)]
    answers = [impatient.alpha.get(f"/api/v1/tasks/{task['id']}") for task in tasks]

    assert {answer.status_code for answer in answers} == {200}
    assert {ended(impatient.alpha, task["id"])["state"] for task in tasks} == {"succeeded"}


def test_a_404_right_after_the_create_is_not_the_end(impatient: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"callbacks": "off", "not_found_after_create_polls": 2})

    assert ended(impatient.alpha, create(impatient.alpha)["id"])["state"] == "succeeded"


def test_a_task_that_the_upstream_denies_for_long_is_failed(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(IMPATIENT | {"GATEWAY_RECONCILE_MISSING_S": "0.5"})
    sandbox.moods({"callbacks": "off", "duration_s": 3600, "not_found_after_create_s": 3600})

    done = ended(gateway.alpha, create(gateway.alpha)["id"])

    assert (done["state"], done["error"]["code"]) == ("failed", "upstream_task_gone")


def test_progress_is_seen_and_never_goes_back(impatient: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"callbacks": "off", "duration_s": 3})
    task_id, seen = create(impatient.alpha)["id"], list[int]()

    def look() -> bool:
        task = impatient.alpha.get(f"/api/v1/tasks/{task_id}").json()
        seen.append(task["progress"] or 0)
        return bool(task["state"] == "succeeded")

    eventually(look, timeout_s=20)

    assert seen == sorted(seen)
    assert any(0 < progress < 100 for progress in seen)


def test_a_task_that_never_ends_is_failed_at_its_longest_age(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(IMPATIENT | {"GATEWAY_TASK_MAX_AGE_S": "1.5"})
    sandbox.moods({"stuck": {"next": 1}})

    done = ended(gateway.alpha, create(gateway.alpha)["id"])

    assert (done["state"], done["error"]["code"]) == ("failed", "deadline_exceeded")
    assert event_types(gateway, done["id"]) == ["task.processing", "task.failed"]


CUTS: Mapping[str, dict[str, Any]] = {
    "closed after it was accepted": {"at": "accepted", "how": "close"},
    "reset after it was accepted": {"at": "accepted", "how": "reset"},
    "half an answer": {"at": "half_answer", "how": "close"},
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_paid_call_without_an_answer_is_never_sent_again_and_its_callback_settles_it(
    cut: dict[str, Any], gateway: Gateway, sandbox: Sandbox
) -> None:
    sandbox.moods({"create_cut": {"next": 1, **cut}, "callbacks": "held"})

    answer = gateway.alpha.post("/api/v1/tasks", json=order())
    eventually(lambda: sandbox.api.post("/_sandbox/callbacks/release").json()["released"], what="a held callback")
    done = ended(gateway.alpha, answer.json()["id"])

    assert (answer.status_code, answer.json()["state"]) == (202, "unknown")
    assert (done["state"], done["credits"]) == ("succeeded", 1188)
    assert len(sandbox.ledger()["creates"]) == 1


def test_an_unknown_outcome_that_nobody_ever_tells_is_failed_and_never_sent_again(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(IMPATIENT | {"GATEWAY_UNKNOWN_GIVE_UP_S": "1"})
    cut = {"next": 1, "at": "accepted", "how": "close"}
    sandbox.moods({"create_cut": cut, "callbacks": "off", "list_endpoint": False})

    done = ended(gateway.alpha, create(gateway.alpha)["id"])

    assert (done["state"], done["error"]["code"]) == ("failed", "submission_outcome_unknown")
    assert len(sandbox.ledger()["creates"]) == 1


def test_while_the_upstream_is_down_models_are_stale_and_the_rest_says_so(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_MODELS_FRESH_S": "0.05", "GATEWAY_UPSTREAM_RETRY_BUDGET_S": "0.5"})
    gateway.alpha.get("/api/v1/models").raise_for_status()
    sandbox.moods({"down": "503"})

    models = eventually(lambda: _stale_models(gateway), what="a stale model list")
    quote = gateway.alpha.post("/api/v1/quotes", json={"model_id": order()["model_id"]})
    task = gateway.alpha.post("/api/v1/tasks", json=order())

    assert len(models["items"]) > 10
    assert (quote.status_code, quote.json()["code"]) == (503, "upstream_unavailable")
    assert int(quote.headers["retry-after"]) >= 1
    # A 503 in the API's own envelope does not say whether the task was taken: it is kept, and never sent again.
    assert (task.status_code, task.json()["state"]) == (202, "unknown")


def _stale_models(gateway: Gateway) -> dict[str, Any] | None:
    answer = gateway.alpha.get("/api/v1/models").raise_for_status()
    return dict(answer.json()) if "110" in answer.headers.get("warning", "") else None


def test_a_submission_whose_process_died_becomes_unknown_when_its_lease_ends(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway()
    sandbox.moods({"callbacks": "off"})
    task_id = create(gateway.alpha)["id"]
    gateway.database.execute(
        """UPDATE tasks SET state = 'submitting', upstream_task_id = NULL, ended_at = NULL, reported_at = NULL,
        lease_until = now() - interval '1 s', poll_at = now() WHERE id = $1""",
        task_id,
    )

    assert in_state(gateway, task_id, "unknown")["upstream_task_id"] is None
