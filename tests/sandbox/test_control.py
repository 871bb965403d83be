"""The control calls: moods that can be seen and changed, a ledger that stays cheap, a reset that forgets everything."""

from typing import Any

import httpx
import pytest

from service.sandbox.moods import MOOD_GROUPS, Moods
from tests.sandbox.orders import created, ended, poll
from tests.sandbox.wire import BODY, Wire, create_head
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox, StartSandbox
from tests.support.waiting import eventually


def moods(sandbox: Sandbox) -> dict[str, Any]:
    return dict(sandbox.api.get("/_sandbox/moods").raise_for_status().json())


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"bussy_poll": {"rate": 1}}, "bussy_poll"),
        ({"busy_poll": {"rte": 1}}, "busy_poll.rte"),
        ({"busy_poll": {"rate": 2}}, "busy_poll.rate"),
        ({"busy_poll": 0.5}, "busy_poll"),
        ({"callbacks": "sometimes"}, "callbacks"),
        ({"duration_s": -1}, "duration_s"),
    ],
    ids=["unknown knob", "unknown part", "rate above one", "no parts", "unknown choice", "negative seconds"],
)
def test_a_knob_that_does_not_fit_is_refused_by_name(sandbox: Sandbox, patch: dict[str, Any], field: str) -> None:
    before = moods(sandbox)

    answer = sandbox.api.patch("/_sandbox/moods", json={"progress": "null", **patch})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert moods(sandbox) == before


def test_a_patch_changes_only_what_it_names(sandbox: Sandbox) -> None:
    before = moods(sandbox)
    sandbox.moods({"busy_poll": {"form": "429"}})

    sandbox.moods({"busy_poll": {"next": 3}})

    assert moods(sandbox) == {**before, "busy_poll": {"rate": 0.0, "next": 3, "form": "429"}}


def test_a_countdown_can_be_watched(sandbox: Sandbox) -> None:
    task_id = created(sandbox)
    sandbox.moods({"busy_poll": {"next": 3}})

    sandbox.api.get(f"/v1/task/{task_id}")

    assert moods(sandbox)["busy_poll"]["next"] == 2


def test_a_running_task_follows_no_new_duration(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 600})
    task_id = created(sandbox)

    sandbox.moods({"duration_s": 0})

    assert ended(sandbox, created(sandbox))["status"] == "done"
    assert poll(sandbox, task_id)["status"] == "doing"


def test_a_reset_forgets_everything(sandbox: Sandbox, receiver: Receiver) -> None:
    start = moods(sandbox)
    sandbox.moods({"duration_s": 0, "callbacks": "held", "busy_poll": {"next": 9}})
    held = created(sandbox, {"receive_url": receiver.url})
    sandbox.moods({"duration_s": 0.3, "callbacks": "on", "busy_poll": {"next": 0}})
    running = created(sandbox, {"receive_url": receiver.url})

    sandbox.api.post("/_sandbox/reset").raise_for_status()

    assert moods(sandbox) == start
    assert [sandbox.api.get(f"/v1/task/{task_id}").status_code for task_id in (held, running)] == [404, 404]
    ledger = sandbox.ledger()
    assert (ledger["creates"], ledger["balance"], ledger["open"], ledger["highest_open"]) == ([], 1_000_000, 0, 0)
    assert (ledger["refused"], ledger["callbacks_held"]) == ({"no_task": 2}, 0)
    sandbox.moods({"duration_s": 0.5})
    later = created(sandbox, {"receive_url": receiver.url})
    assert later.encode() in receiver.wait_for(1)[0].body
    assert len(receiver.received()) == 1


def test_a_create_that_was_under_way_at_a_reset_is_not_taken(sandbox: Sandbox) -> None:
    sandbox.moods({"accept_delay_s": 0.3})

    with Wire(sandbox.url) as wire:
        wire.send(create_head(), BODY)
        assert eventually(lambda: sandbox.ledger()["requests_by_endpoint"].get("create"))
        sandbox.api.post("/_sandbox/reset").raise_for_status()
        end = wire.end()

    assert end == (b"", "FIN")
    assert sandbox.ledger()["creates"] == []


@pytest.mark.parametrize(("call", "status"), [("GET /v1/voices", 404), ("DELETE /v1/credits", 405)])
def test_calls_that_the_api_does_not_have_are_refused_in_its_words(sandbox: Sandbox, call: str, status: int) -> None:
    method, path = call.split(" ")

    answer = sandbox.api.request(method, path)

    assert (answer.status_code, answer.json()["success"]) == (status, False)


def test_a_ledger_can_be_cut_to_its_newest_lines(sandbox: Sandbox) -> None:
    task_ids = [created(sandbox) for _ in range(5)]

    newest = sandbox.api.get("/_sandbox/ledger?limit=2").json()
    totals = sandbox.api.get("/_sandbox/ledger?limit=0").json()

    assert [each["task_id"] for each in newest["creates"]] == task_ids[-2:]
    assert [each["task_id"] for each in sandbox.ledger()["creates"]] == task_ids
    assert (totals["creates"], totals["creates_total"]) == ([], 5)
    assert sandbox.api.get("/_sandbox/ledger?limit=x").status_code == 400


@pytest.mark.parametrize("verb", ["finish", "fail"])
def test_a_task_ends_by_hand_only_once(sandbox: Sandbox, verb: str) -> None:
    sandbox.moods({"duration_s": 600})
    task_id = created(sandbox)

    statuses = [sandbox.api.post(f"/_sandbox/tasks/{task_id}/{verb}").status_code for _ in range(2)]

    assert statuses == [200, 409]
    assert sandbox.ledger()["open"] == 0
    assert sandbox.api.post(f"/_sandbox/tasks/none/{verb}").status_code == 404


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("PATCH /_sandbox/moods", b"{"),
        ("PATCH /_sandbox/moods", b"[]"),
        ("POST /_sandbox/refuse", b'{"for_s": "long"}'),
        ("POST /_sandbox/callbacks/release", b'{"task_ids": "all"}'),
    ],
)
def test_a_wrong_control_call_is_the_callers_error(sandbox: Sandbox, call: str, body: bytes) -> None:
    method, path = call.split(" ")

    assert sandbox.api.request(method, path, content=body).status_code in (400, 422)


def test_the_start_page_tells_how_to_develop_against_it(sandbox: Sandbox) -> None:
    created(sandbox)

    page = httpx.get(sandbox.url, trust_env=False)

    assert page.headers["content-type"].startswith("text/html")
    assert "stand-in" in page.text
    for call in ("/v1i/models", "/v1i/task/price", "/v1i/task/generate-image", "/v3/task/", "/v1/task/delete"):
        assert f"{sandbox.url}" in page.text
        assert call in page.text
    assert "998,812" in page.text


def test_the_start_page_explains_every_knob(sandbox: Sandbox) -> None:
    page = httpx.get(sandbox.url, trust_env=False).text

    missing = [name for name in Moods.model_fields if f"<code>{name}</code>" not in page]
    assert missing == []


def test_every_knob_has_a_description_and_a_group() -> None:
    grouped = [name for group in MOOD_GROUPS for name in group.__annotations__]

    assert sorted(grouped) == sorted(Moods.model_fields)
    assert [name for name, knob in Moods.model_fields.items() if not knob.description] == []


def test_what_the_start_page_shows_cannot_carry_markup(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox({"SANDBOX_API_KEYS": "<script>"})
    sandbox.moods({"done_word": "<script>"})

    assert "<script>" not in httpx.get(sandbox.url, trust_env=False).text
