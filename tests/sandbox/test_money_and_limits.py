"""Credits and limits: charged once at submission, given back on failure, and refused in the documented ways."""

import pytest

from tests.sandbox.orders import PRICE, balance, create, created, ended, entry, picture
from tests.support.sandbox import Sandbox, StartSandbox
from tests.support.waiting import eventually

MILLION = 1_000_000


def test_a_task_is_charged_when_it_is_taken(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 600})

    task_id = created(sandbox)

    assert balance(sandbox) == MILLION - PRICE
    assert sandbox.api.get("/v1/credits").json() == {"success": True, "credits": MILLION - PRICE}
    assert (entry(sandbox, task_id)["credits"], entry(sandbox, task_id)["refunded"]) == (PRICE, 0)


def test_a_failed_task_gives_its_credits_back(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0, "task_error": {"next": 1}})

    task_id = created(sandbox)

    ended(sandbox, task_id)
    assert (balance(sandbox), entry(sandbox, task_id)["refunded"]) == (MILLION, PRICE)


def test_a_failure_may_keep_the_credits(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0, "task_error": {"next": 1, "refund": False}})

    task_id = created(sandbox)

    ended(sandbox, task_id)
    assert (balance(sandbox), entry(sandbox, task_id)["refunded"]) == (MILLION - PRICE, 0)


@pytest.mark.parametrize("status", ["402", "401"])
def test_too_low_a_balance_is_refused_as_documented(start_sandbox: StartSandbox, status: str) -> None:
    poor = start_sandbox({"SANDBOX_CREDITS": str(PRICE)})
    poor.moods({"no_credit_status": status})
    created(poor)

    answer = create(poor)

    assert answer.status_code == int(status)
    assert answer.json()["code"] == "insufficient_credits"
    assert poor.ledger()["refused"] == {"no_credit": 1}


def test_the_daily_cap_lasts_until_the_day_ends(sandbox: Sandbox) -> None:
    sandbox.moods({"daily_cap_credits": 2 * PRICE})
    created(sandbox)
    created(sandbox)

    answer = create(sandbox)

    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 24 * 3600
    assert sandbox.ledger()["refused"] == {"daily_cap": 1}


def test_the_21st_open_task_is_refused_until_one_ends(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 600})
    first, *_ = [created(sandbox) for _ in range(20)]

    refused = create(sandbox)
    sandbox.api.post(f"/_sandbox/tasks/{first}/finish").raise_for_status()
    taken = create(sandbox)

    assert (refused.status_code, refused.json()["code"]) == (429, "active_task_limit")
    assert taken.status_code == 200
    ledger = sandbox.ledger()
    assert (ledger["open"], ledger["highest_open"], ledger["creates_total"]) == (20, 20, 21)
    assert ledger["balance"] == MILLION - 21 * PRICE


@pytest.mark.parametrize(("cap", "taken"), [(3, 3), (0, 25)], ids=["three", "none"])
def test_the_cap_of_open_tasks_is_a_knob(sandbox: Sandbox, cap: int, taken: int) -> None:
    sandbox.moods({"active_task_cap": cap, "duration_s": 600})

    statuses = [create(sandbox).status_code for _ in range(25)]

    assert statuses.count(200) == taken


def test_deleting_an_open_task_ends_it_with_its_refund(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 600})
    task_id = created(sandbox)

    answer = sandbox.api.post("/v1/task/delete", json={"task_ids": [task_id, "unknown"]})

    assert answer.json() == {"success": True, "refunded_credits": PRICE}
    assert sandbox.api.get(f"/v1/task/{task_id}").status_code == 404
    assert sandbox.api.get("/v1/tasks").json()["total"] == 0
    assert (entry(sandbox, task_id)["status"], balance(sandbox)) == ("deleted", MILLION)
    assert sandbox.ledger()["open"] == 0


def test_deleting_may_refund_nothing(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 600, "delete_refunds": False})
    task_id = created(sandbox)

    answer = sandbox.api.post("/v1/task/delete", json={"task_ids": [task_id]})

    assert answer.json()["refunded_credits"] == 0
    assert balance(sandbox) == MILLION - PRICE


def test_deleting_a_finished_task_refunds_nothing(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0})
    task_id = created(sandbox)
    ended(sandbox, task_id)

    answer = sandbox.api.post("/v1/task/delete", json={"task_ids": [task_id]})

    assert answer.json()["refunded_credits"] == 0


def test_an_upstream_without_delete_answers_404(sandbox: Sandbox) -> None:
    sandbox.moods({"delete_endpoint": False})

    assert sandbox.api.post("/v1/task/delete", json={"task_ids": []}).status_code == 404


def test_a_bucket_refuses_what_goes_beyond_its_burst(sandbox: Sandbox) -> None:
    sandbox.moods({"bucket_create": {"per_s": 0.5, "burst": 2}})

    answers = [create(sandbox) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[0].headers["X-RateLimit-Limit"] == "0.5"
    assert answers[0].headers["X-RateLimit-Burst"] == "2"
    assert answers[2].headers["X-RateLimit-Scope"] == "create"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 2


def test_a_bucket_fills_again_with_time(sandbox: Sandbox) -> None:
    sandbox.moods({"bucket_read": {"per_s": 2, "burst": 1}})
    statuses = [sandbox.api.get("/v1/credits").status_code for _ in range(5)]

    assert 429 in statuses
    assert eventually(lambda: sandbox.api.get("/v1/credits").status_code == 200)


@pytest.mark.parametrize(
    ("bucket", "path", "served"),
    [("poll", "/v1/task/none", 4), ("poll", "/v1/tasks", 2), ("read", "/v1i/models", 4), ("read", "/v1/credits", 4)],
    ids=["a poll costs one", "a list costs two", "models cost one", "the balance costs one"],
)
def test_each_kind_of_call_draws_from_its_own_bucket(sandbox: Sandbox, bucket: str, path: str, served: int) -> None:
    sandbox.moods({f"bucket_{bucket}": {"per_s": 0.001, "burst": 4}})

    statuses = [sandbox.api.get(path).status_code for _ in range(6)]

    assert 6 - statuses.count(429) == served


def test_each_asset_draws_from_the_upload_bucket(sandbox: Sandbox) -> None:
    sandbox.moods({"bucket_upload": {"per_s": 0.001, "burst": 3}})

    statuses = [create(sandbox, assets=[picture()] * 2).status_code for _ in range(2)]

    assert statuses == [200, 429]


def test_a_delete_draws_from_the_command_bucket(sandbox: Sandbox) -> None:
    sandbox.moods({"bucket_command": {"per_s": 0.001, "burst": 1}})

    statuses = [sandbox.api.post("/v1/task/delete", json={"task_ids": []}).status_code for _ in range(2)]

    assert statuses == [200, 429]
