"""Asking about tasks: what a poll and a list show, and every way in which the upstream will not say."""

from typing import Any

import pytest

from tests.sandbox.orders import MODEL, PRICE, create, created, ended, poll
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

ALIASES = ["/v1/task/{}", "/v1/task/{}/full", "/v3/task/{}"]


def test_a_running_task_is_shown_bare_and_with_its_cost(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 600})

    task = poll(sandbox, created(sandbox, {"prompt": "a cat"}))

    assert (task["type"], task["status"], task["credit_cost"], task["error_message"]) == (
        "imagen2",
        "doing",
        PRICE,
        None,
    )
    assert task["progress"] == 0
    assert task["metadata"]["prompt"] == "a cat"
    assert "result_images" not in task["metadata"]


def test_a_finished_task_tells_what_was_asked_beside_its_images(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0})

    task = ended(sandbox, created(sandbox, {"model_parameters": '{"resolution":"2K"}'}))

    assert (task["status"], task["progress"], task["error_message"]) == ("done", 100, None)
    metadata = task["metadata"]
    assert (metadata["modelId"], metadata["generationsCount"]) == (MODEL, 1)
    assert metadata["modelParameters"] == {"resolution": "2K"}


def test_the_aliases_show_the_same_task(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0})
    task_id = created(sandbox, {"prompt": "a cat"})
    task = ended(sandbox, task_id)

    bare, full, wrapped = (sandbox.api.get(alias.format(task_id)).json() for alias in ALIASES)

    assert bare == task
    assert full == task | {"text": "a cat", "text_length": 5, "text_truncated": False}
    assert wrapped == {"success": True, "data": task}


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize(("form", "status"), [("503", 503), ("429", 429), ("200", 200)])
def test_a_busy_poll_says_nothing_about_the_task(sandbox: Sandbox, alias: str, form: str, status: int) -> None:
    task_id = created(sandbox)
    sandbox.moods({"busy_poll": {"next": 1, "form": form}})

    busy, clear = (sandbox.api.get(alias.format(task_id)) for _ in range(2))

    assert busy.status_code == status
    assert busy.json() == {"success": False, "code": "server_busy", "message": "Task polling temporarily busy"}
    assert clear.status_code == 200
    assert clear.json().get("success") is not False


def test_polls_are_busy_at_the_rate_that_was_set(sandbox: Sandbox) -> None:
    task_id = created(sandbox)
    sandbox.moods({"seed": 5, "busy_poll": {"rate": 0.33, "form": "mixed"}})

    answers = [sandbox.api.get(f"/v1/task/{task_id}") for _ in range(300)]

    busy = [answer for answer in answers if answer.json().get("success") is False]
    assert 70 <= len(busy) <= 130
    assert {answer.status_code for answer in busy} == {503, 429, 200}


def test_the_same_seed_gives_the_same_luck(sandbox: Sandbox) -> None:
    task_id = created(sandbox)

    def luck(seed: int) -> list[int]:
        sandbox.moods({"seed": seed, "busy_poll": {"rate": 0.5}})
        return [sandbox.api.get(f"/v1/task/{task_id}").status_code for _ in range(30)]

    assert luck(1) == luck(1)
    assert luck(1) != luck(2)


def test_a_new_task_may_be_unknown_for_its_first_polls(sandbox: Sandbox) -> None:
    sandbox.moods({"not_found_after_create_polls": 2})
    task_id = created(sandbox)

    assert [sandbox.api.get(f"/v1/task/{task_id}").status_code for _ in range(3)] == [404, 404, 200]


def test_a_new_task_may_be_unknown_for_a_while(sandbox: Sandbox) -> None:
    sandbox.moods({"not_found_after_create_s": 0.3})
    task_id = created(sandbox)

    assert sandbox.api.get(f"/v1/task/{task_id}").status_code == 404
    assert eventually(lambda: sandbox.api.get(f"/v1/task/{task_id}").status_code == 200)


def test_an_unknown_task_is_404(sandbox: Sandbox) -> None:
    answer = sandbox.api.get("/v1/task/none")

    assert (answer.status_code, answer.json()["success"]) == (404, False)


@pytest.mark.parametrize(
    ("moods", "field", "value"),
    [
        ({"progress": "null"}, "progress", None),
        ({"doing_error_message": "noise"}, "error_message", "noise"),
        ({"metadata_while_doing": False}, "metadata", {}),
    ],
    ids=["no progress", "an error message that means nothing", "no metadata yet"],
)
def test_a_running_task_can_be_shown_oddly(sandbox: Sandbox, moods: dict[str, Any], field: str, value: Any) -> None:
    sandbox.moods({"duration_s": 600, **moods})

    assert poll(sandbox, created(sandbox))[field] == value


@pytest.mark.parametrize(
    ("moods", "status"),
    [({"done_word": "completed"}, "completed"), ({"error_word": "failed", "task_error": {"next": 1}}, "failed")],
    ids=["done", "error"],
)
def test_ends_may_go_by_other_words(sandbox: Sandbox, moods: dict[str, Any], status: str) -> None:
    sandbox.moods({"duration_s": 0, **moods})

    assert ended(sandbox, created(sandbox))["status"] == status


def test_a_failed_task_says_why(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0, "task_error": {"next": 1, "code": "nsfw", "message": "not drawn"}})

    task, healthy = ended(sandbox, created(sandbox)), ended(sandbox, created(sandbox))

    assert (task["status"], task["error_message"]) == ("error", "nsfw: not drawn")
    assert healthy["status"] == "done"


def test_a_stuck_task_runs_until_someone_ends_it(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0, "stuck": {"next": 1}})
    stuck, healthy = created(sandbox), created(sandbox)

    ended(sandbox, healthy)
    still = poll(sandbox, stuck)["status"]
    sandbox.api.post(f"/_sandbox/tasks/{stuck}/finish").raise_for_status()

    assert (still, poll(sandbox, stuck)["status"]) == ("doing", "done")


def test_a_list_shows_the_newest_tasks_first(sandbox: Sandbox) -> None:
    newest_first = [created(sandbox) for _ in range(5)][::-1]

    pages = [sandbox.api.get("/v1/tasks", params={"page": page, "limit": 2}).json() for page in (1, 2, 3, 4)]

    assert [task["id"] for page in pages for task in page["data"]] == newest_first
    assert [len(page["data"]) for page in pages] == [2, 2, 1, 0]
    assert {(page["total"], page["limit"], page["success"]) for page in pages} == {(5, 2, True)}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "page=0", "page=x", "limit=-1", "page=" + "9" * 5000])
def test_a_list_outside_its_limits_is_refused(sandbox: Sandbox, query: str) -> None:
    assert sandbox.api.get(f"/v1/tasks?{query}").status_code == 400


def test_an_upstream_without_a_list_answers_404(sandbox: Sandbox) -> None:
    sandbox.moods({"list_endpoint": False})

    assert sandbox.api.get("/v1/tasks").status_code == 404


@pytest.mark.parametrize("shown", [True, False], ids=["shown", "hidden"])
def test_listed_tasks_may_show_their_receive_url(sandbox: Sandbox, shown: bool) -> None:
    sandbox.moods({"list_shows_receive_url": shown, "duration_s": 600})
    created(sandbox, {"receive_url": "http://127.0.0.1:9/x"})

    (task,) = sandbox.api.get("/v1/tasks?type=imagen2").json()["data"]

    assert task["metadata"].get("receive_url") == ("http://127.0.0.1:9/x" if shown else None)


def test_tasks_of_another_type_are_none(sandbox: Sandbox) -> None:
    create(sandbox)

    assert sandbox.api.get("/v1/tasks?type=tts").json()["total"] == 0


@pytest.mark.parametrize("health", ["good", "degraded", "overloaded"])
def test_health_is_told_per_provider(sandbox: Sandbox, health: str) -> None:
    sandbox.moods({"health": health})

    providers = sandbox.api.get("/v1/health-check").json()["data"]

    assert len(providers) > 1
    assert set(providers.values()) == {health}


def test_the_ledger_counts_polls_lists_and_requests(sandbox: Sandbox) -> None:
    task_id = created(sandbox)
    poll(sandbox, task_id)
    sandbox.api.get(f"/v3/task/{task_id}")
    sandbox.api.get("/v1/tasks")

    ledger = sandbox.ledger()

    assert (ledger["polls"], ledger["lists"], ledger["creates"][0]["polls"]) == (2, 1, 2)
    assert ledger["requests_by_endpoint"] == {"create": 1, "poll": 2, "list": 1}
