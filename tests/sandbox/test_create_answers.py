"""The create call as clients send it and as its answer comes back, in every form on record."""

import hashlib
import json
from typing import Any

import httpx
import pytest

from tests.sandbox.orders import CREATE, MODEL, PRICE, create, created, entry, picture
from tests.support.sandbox import Sandbox


def test_a_create_answers_id_estimate_and_remaining_credits(sandbox: Sandbox) -> None:
    before = sandbox.ledger()["balance"]

    answer = create(sandbox).raise_for_status().json()

    task_id = answer.pop("task_id")
    assert answer == {"success": True, "estimated_credits": PRICE, "ec_remain_credits": str(before - PRICE)}
    assert entry(sandbox, task_id)["open"]


PARAMETERS = {"aspect_ratio": "9:16", "resolution": "4K", "seed": 7}


@pytest.mark.parametrize(
    "request_",
    [
        {"files": {"model_parameters": (None, json.dumps(PARAMETERS)), "generations_count": (None, "2")}},
        {"data": {"model_parameters": json.dumps(PARAMETERS), "generations_count": "2"}},
        {"json": {"model_parameters": PARAMETERS, "generations_count": 2}},
        {"json": {"model_parameters": json.dumps(PARAMETERS), "generations_count": "2"}},
        {"json": {**PARAMETERS, "generations_count": 2}},
    ],
    ids=["multipart", "urlencoded", "JSON", "JSON with parameters in a string", "flat JSON"],
)
def test_every_form_of_a_create_is_understood_alike(sandbox: Sandbox, request_: Any) -> None:
    form, fields = next(iter(request_.items()))
    common: Any = {"prompt": "a café at dusk", "model_id": MODEL, "receive_url": "http://127.0.0.1:9/x"}
    if form == "files":
        common = {name: (None, value) for name, value in common.items()}

    sent: Any = {form: {**common, **fields}}
    answer = sandbox.api.post(CREATE, **sent)

    line = entry(sandbox, answer.json()["task_id"])
    assert (line["prompt"], line["generations_count"]) == ("a café at dusk", 2)
    assert line["model_parameters"] == PARAMETERS
    assert line["receive_url"] == "http://127.0.0.1:9/x"
    assert line["credits"] == 2 * 2 * PRICE


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_ledger_tells_what_each_asset_really_was(sandbox: Sandbox, kind: str) -> None:
    asset = picture(kind, 100_000)

    task_id = created(sandbox, assets=[picture(), asset])

    assert entry(sandbox, task_id)["assets"][1] == {
        "bytes": len(asset),
        "sha256": hashlib.sha256(asset).hexdigest(),
        "mime_type": f"image/{kind.lower()}",
        "filename": "2.png",
    }


def test_an_asset_needs_neither_a_name_nor_a_content_type(sandbox: Sandbox) -> None:
    body = b"".join(
        [
            b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n@img1\r\n',
            b'--b\r\nContent-Disposition: form-data; name="model_id"\r\n\r\n%s\r\n' % MODEL.encode(),
            b'--b\r\nContent-Disposition: form-data; name="assets"\r\n\r\n%s\r\n--b--\r\n' % picture(),
        ]
    )

    answer = sandbox.api.post(CREATE, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    assert entry(sandbox, answer.json()["task_id"])["assets"][0]["mime_type"] == "image/png"


def test_files_under_another_name_are_lost_and_the_ledger_says_so(sandbox: Sandbox) -> None:
    files = [("reference_images", ("a.png", picture(), "image/png"))]

    answer = sandbox.api.post(CREATE, data={"prompt": "x", "model_id": MODEL}, files=files)

    assert entry(sandbox, answer.json()["task_id"])["assets"] == []
    assert sandbox.ledger()["ignored_fields"] == {"reference_images": 1}


@pytest.mark.parametrize("id_field", ["task_id", "taskId", "id", "data.task_id", "data.id", "none"])
def test_the_id_comes_under_the_name_that_the_mood_says(sandbox: Sandbox, id_field: str) -> None:
    sandbox.moods({"id_field": id_field})

    answer = create(sandbox).json()

    task_id = sandbox.ledger()["creates"][0]["task_id"]
    outer, _, inner = id_field.partition(".")
    expected = {} if outer == "none" else {outer: {inner: task_id} if inner else task_id}
    assert {name: answer[name] for name in answer if "credits" not in name} == {"success": True} | expected


@pytest.mark.parametrize("name", ["estimated_credits", "ec_remain_credits"])
@pytest.mark.parametrize("form", ["number", "string", "missing"])
def test_credits_of_a_create_come_in_each_form(sandbox: Sandbox, name: str, form: str) -> None:
    knob = {"estimated_credits": "estimated_credits_form", "ec_remain_credits": "remain_credits_form"}[name]
    sandbox.moods({knob: form})

    answer = create(sandbox).json()

    kinds = {"number": int, "string": str, "missing": type(None)}
    assert type(answer.get(name)) is kinds[form]
    assert (name in answer) == (form != "missing")


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer sk_sandbox"}, {"Authorization": "sk_sandbox"}, {"xi-api-key": "sk_sandbox"}],
    ids=["bearer", "raw", "xi-api-key"],
)
def test_a_key_is_taken_in_each_way_that_clients_send_it(sandbox: Sandbox, headers: dict[str, str]) -> None:
    assert httpx.get(f"{sandbox.url}/v1/credits", headers=headers, trust_env=False).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer sk_other"}, {"xi-api-key": "sk_other"}, {"Authorization": "Basic c2s6"}],
    ids=["no key", "wrong bearer", "wrong xi-api-key", "basic"],
)
@pytest.mark.parametrize("path", ["/v1i/models", "/v1/credits", "/v1/tasks", "/v1/task/x", "/v1/health-check"])
def test_without_a_valid_key_every_call_is_401(sandbox: Sandbox, headers: dict[str, str], path: str) -> None:
    answer = httpx.get(f"{sandbox.url}{path}", headers=headers, trust_env=False)

    assert answer.status_code == 401
    assert answer.json()["success"] is False
