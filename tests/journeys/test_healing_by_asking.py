"""When the gateway asks, how often all its processes ask together, and what it believes of a report."""

import time

import pytest

from tests.journeys.orders import MODEL, create, ended, event_types, in_state
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

IMPATIENT = {"GATEWAY_RECONCILE_QUIET_S": "0.2", "GATEWAY_RECONCILE_POLLS_PER_S": "50"}
CONFIRMING = {"GATEWAY_CALLBACK_CONFIRM": "true", "GATEWAY_RECONCILE_QUIET_S": "60"}
POLLS_PER_S, POLLS_SEEN = 4, 20


def insert_measured(gateway: Gateway, seconds: float, tasks: int = 5) -> None:
    """Tasks of the model that took so long."""
    gateway.database.execute(
        """INSERT INTO tasks (id, client, account, state, model_id, prompt, generations_count, model_parameters, assets,
            metadata, submitted_at, ended_at)
        SELECT gen_random_uuid(), 'alpha', 'default', 'succeeded', $1, '', 1, '{}', '[]', '{}',
            now() - make_interval(secs => $2), now() FROM generate_series(1, $3)""",
        MODEL,
        seconds,
        tasks,
    )


def test_the_processes_of_one_account_share_one_poll_budget(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    eager = {
        "GATEWAY_RECONCILE_QUIET_S": "0.05",
        "GATEWAY_RECONCILE_INTERVAL_MAX_S": "0.05",
        "GATEWAY_RECONCILE_POLLS_PER_S": str(POLLS_PER_S),
    }
    gateway, *_ = [start_gateway(eager, role=role) for role in ("all", "worker", "worker")]
    sandbox.moods({"callbacks": "off", "duration_s": 3600})
    for _ in range(6):
        create(gateway.alpha)

    began_s, polls = time.monotonic(), int(sandbox.ledger()["polls"])
    eventually(lambda: sandbox.ledger()["polls"] >= polls + POLLS_SEEN, timeout_s=20, what="polls")

    # One process alone would need this long, three budgets a third of it.
    assert time.monotonic() - began_s >= (POLLS_SEEN - POLLS_PER_S) / POLLS_PER_S - 0.5


def test_nobody_is_asked_about_while_the_image_api_wants_patience(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(IMPATIENT | {"GATEWAY_UPSTREAM_RETRY_BUDGET_S": "0.5"})
    sandbox.moods({"callbacks": "off", "duration_s": 0, "poll_error": {"next": 1, "status": 429, "retry_after_s": 3}})
    throttled = create(gateway.alpha)
    rest = "SELECT extract(epoch FROM poll_tokens_at - now())::float8 FROM accounts WHERE poll_tokens_at > now()"
    rest_s = eventually(lambda: gateway.database.value(rest), what="a drained budget")

    began_s = time.monotonic()
    ends = [ended(gateway.alpha, task["id"]) for task in (create(gateway.alpha), throttled)]

    assert {task["state"] for task in ends} == {"succeeded"}
    assert time.monotonic() - began_s >= rest_s - 0.1 > 1.5


def test_a_model_that_takes_long_is_asked_about_when_an_end_is_likely(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    api = start_gateway(IMPATIENT, role="api")
    insert_measured(api, seconds=2.5)
    sandbox.moods({"callbacks": "off", "duration_s": 0})
    start_gateway(IMPATIENT, role="worker")

    done = ended(api.alpha, create(api.alpha)["id"])

    # By the database's clock, which decides when to look: it may be set while the test runs.
    took = "SELECT extract(epoch FROM ended_at - submitted_at)::float8 FROM tasks WHERE id = $1::text::uuid"
    assert done["state"] == "succeeded"
    assert api.database.value(took, done["id"]) >= 1.9
    assert [each["polls"] for each in sandbox.ledger()["creates"]] == [1]


def test_a_report_that_says_nothing_makes_the_gateway_ask_at_once_however_long_the_model_takes(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    api = start_gateway(IMPATIENT, role="api")
    insert_measured(api, seconds=3000)
    sandbox.moods({"callbacks": "off", "duration_s": 0})
    start_gateway(IMPATIENT, role="worker")
    task = create(api.alpha)

    sandbox.api.post(f"/_sandbox/tasks/{task['upstream_task_id']}/callback", json={"hello": 1}).raise_for_status()

    assert ended(api.alpha, task["id"])["state"] == "succeeded"


def test_with_confirmation_a_report_is_only_a_reason_to_ask_now(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(CONFIRMING)

    done = ended(gateway.alpha, create(gateway.alpha)["id"])

    assert (done["state"], done["credits"], len(done["images"])) == ("succeeded", 1188, 1)
    sources = gateway.database.rows("SELECT source, outcome FROM reports ORDER BY id")
    assert [(each["source"], each["outcome"]) for each in sources] == [("callback", "no_move"), ("poll", "moved")]


@pytest.mark.parametrize("form", ["wrong_status", "foreign_id"])
def test_with_confirmation_a_forged_report_changes_nothing(
    form: str, start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(CONFIRMING)
    sandbox.moods({"callback_forged": {"next": 1, "form": form}})

    done = ended(gateway.alpha, create(gateway.alpha)["id"])

    assert done["state"] == "succeeded"
    assert event_types(gateway, done["id"]) == ["task.processing", "task.succeeded"]


def test_with_confirmation_a_report_still_settles_an_unknown_submission(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(CONFIRMING | {"GATEWAY_UPSTREAM_LISTS_TASKS": "false"})
    sandbox.moods({"create_cut": {"next": 1, "at": "accepted", "how": "close"}, "callbacks": "held"})
    task = create(gateway.alpha)

    eventually(lambda: sandbox.api.post("/_sandbox/callbacks/release").json()["released"], what="a held callback")

    assert task["state"] == "unknown"
    assert ended(gateway.alpha, task["id"])["state"] == "succeeded"
    assert len(sandbox.ledger()["creates"]) == 1


def test_with_confirmation_a_late_result_is_fetched_and_added(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(CONFIRMING | {"GATEWAY_TASK_MAX_AGE_S": "1", "GATEWAY_RECONCILE_QUIET_S": "0.2"})
    sandbox.moods({"duration_s": 3600})
    failed = in_state(gateway, create(gateway.alpha)["id"], "failed")

    sandbox.api.post(f"/_sandbox/tasks/{failed['upstream_task_id']}/finish").raise_for_status()
    eventually(lambda: event_types(gateway, failed["id"])[-1:] == ["task.result_late"], what="a late result")

    assert failed["error"]["code"] == "deadline_exceeded"
    assert len(gateway.alpha.get(f"/api/v1/tasks/{failed['id']}").json()["images"]) == 1
