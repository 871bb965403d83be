"""Bad input of every kind gets a problem that names the field, costs nothing and breaks nothing."""

import httpx
import pytest

from tests.journeys.native_orders import TASKS, form, order, picture
from tests.support.gateway import Gateway
from tests.support.sandbox import Sandbox

JSON = {"Content-Type": "application/json"}
DEEP = b'{"a":' * 900 + b"1" + b"}" * 900
BODIES = {
    "nothing": b"",
    "no JSON": b"{prompt: 1}",
    "NaN": b'{"prompt":"a","model_id":"m","model_parameters":{"seed":NaN}}',
    "an infinite number": b'{"prompt":"a","model_id":"m","model_parameters":{"seed":1e999}}',
    "a lone surrogate": b'{"prompt":"\\ud800","model_id":"m"}',
    "bytes that are no UTF-8": b'{"prompt":"\xff","model_id":"m"}',
    "nested without end": b"[" * 100_000,
    "a list": b"[]",
    "a number": b"7",
}


def fields_of(answer: httpx.Response) -> list[str]:
    return [each["field"] for each in answer.json().get("errors", [])]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_json_object_is_a_400(gateway: Gateway, body: bytes) -> None:
    answer = gateway.alpha.post(TASKS, content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n "}, "prompt"),
        ({"prompt": "x" * 4001}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "like @img1"}, "prompt"),
        ({"model_id": "a\x00b"}, "model_id"),
        ({"model_id": "no-such-model"}, "model_id"),
        ({"model_id": ""}, "model_id"),
        ({"model_id": "x" * 201}, "model_id"),
        ({"generations_count": 5}, "generations_count"),
        ({"generations_count": 10**30}, "generations_count"),
        ({"generations_count": "1"}, "generations_count"),
        ({"generations_count": 1.5}, "generations_count"),
        ({"model_parameters": []}, "model_parameters"),
        ({"model_parameters": {"aspect_ratio": ["1:1"]}}, "model_parameters.aspect_ratio"),
        ({"model_parameters": {"resolution": "16K"}}, "model_parameters.resolution"),
        ({"model_parameters": {"quality": "high"}}, "model_parameters.quality"),
        ({"model_parameters": {"seed": "one"}}, "model_parameters.seed"),
        ({"model_parameters": {"seed": 10**25}}, "model_parameters.seed"),
        ({"model_parameters": {"": 1}}, "model_parameters."),
        ({"model_parameters": {"a\x00b": 1}}, "model_parameters"),
        ({"metadata": {"a": {"b": ["\x00"]}}}, "metadata"),
        ({"metadata": "text"}, "metadata"),
        ({"metadata": {"a": "x" * 17_000}}, "metadata"),
        ({"client_reference": ""}, "client_reference"),
        ({"client_reference": "x" * 201}, "client_reference"),
        ({"max_credits": -1}, "max_credits"),
        ({"max_credits": "3"}, "max_credits"),
        ({"max_credits": 10**30}, "max_credits"),
        ({"deadline_s": 0.5}, "deadline_s"),
        ({"deadline_s": 86_401}, "deadline_s"),
        ({"deadline_s": True}, "deadline_s"),
        ({"priority": "high"}, "priority"),
        ({"validate_only": "true"}, "validate_only"),
        ({"callback_url": "not a url"}, "callback_url"),
        ({"callback_url": "http://169.254.169.254/"}, "callback_url"),
        ({"callback_url": "http://[::1"}, "callback_url"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_a_422_that_names_its_field(
    gateway: Gateway, sandbox: Sandbox, change: dict[str, object], field: str
) -> None:
    answer = gateway.alpha.post(TASKS, json=order(**change))

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert fields_of(answer) == [field]
    assert sandbox.ledger()["creates"] == []
    assert gateway.alpha.get(TASKS).json()["items"] == []


def test_metadata_nested_beyond_reason_is_a_422(gateway: Gateway) -> None:
    body = b'{"prompt":"a","model_id":"flux-2-pro","metadata":%b}' % DEEP

    answer = gateway.alpha.post(TASKS, content=body, headers=JSON)

    assert (answer.status_code, fields_of(answer)) == (422, ["metadata"])


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("reference_images", ["a"], "assets"),
        ("image_urls", ["https://example.org/a.png"], "assets"),
        ("assets", ["a"], "multipart"),
        ("aspect_ratio", "1:1", "model_parameters"),
        ("receive_url", "https://example.org", "callback_url"),
        ("promt", "a", "prompt"),
        ("x" * 5000, 1, "known: prompt"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_unknown_field_is_refused_by_name_with_the_right_one(
    gateway: Gateway, sandbox: Sandbox, name: str, value: object, remedy: str
) -> None:
    answer = gateway.alpha.post(TASKS, json=order(**{name: value}))

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")
    assert fields_of(answer) == [name[:60]]
    assert remedy in answer.json()["errors"][0]["message"]
    assert sandbox.ledger()["creates"] == []


@pytest.mark.parametrize("name", ["reference_images", "image", "files", "image_urls"])
def test_files_under_another_name_are_refused_with_the_right_one(gateway: Gateway, sandbox: Sandbox, name: str) -> None:
    parts = [*form(), (name, ("1.png", picture(), "image/png"))]

    answer = gateway.alpha.post(TASKS, files=parts)

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")
    assert "`assets`" in answer.json()["detail"]
    assert sandbox.ledger()["creates"] == []


@pytest.mark.parametrize(
    ("prompt", "files", "says"),
    [
        ("Merge @img2", 2, "does not name @img1"),
        ("Merge @img1 and @img3", 2, "names @img3"),
        ("A lighthouse", 1, "does not name @img1"),
        ("Like @img0", 0, "names @img0"),
    ],
)
def test_references_must_match_the_files(gateway: Gateway, prompt: str, files: int, says: str) -> None:
    answer = gateway.alpha.post(TASKS, files=form([picture()] * files, {"prompt": prompt}))

    assert answer.status_code == 422
    assert says in " ".join(each["message"] for each in answer.json()["errors"])


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        (form([b"no image"]), 422, "invalid_request"),
        (form([b""]), 422, "invalid_request"),
        (form([picture()] * 17), 413, "body_too_large"),
        (form([picture() + b"\0" * 5_300_000]), 413, "body_too_large"),
        (form([], {"metadata": "{"}), 400, "malformed_body"),
        (form([], {"model_parameters": "[]"}), 400, "malformed_body"),
        (form([], {"generations_count": "two"}), 422, "invalid_request"),
        ([*form(), ("prompt", (None, "another"))], 400, "malformed_body"),
        (form([], {"prompt": "x" * 300_000}), 413, "body_too_large"),
        (form([], {"max_credits": "a few"}), 422, "invalid_request"),
        (form([], {"deadline_s": "[]"}), 422, "invalid_request"),
        (form([], {"validate_only": "1"}), 422, "invalid_request"),
    ],
    ids=[
        "not an image", "an empty file", "too many files", "too large a file", "cut JSON", "a list for an object",
        "a count in words", "a field twice", "fields too large",
        "a limit in words", "a list for a deadline", "a number for yes or no",
    ],
)  # fmt: skip
def test_a_wrong_form_is_refused_before_anything_is_paid(
    gateway: Gateway, sandbox: Sandbox, parts: object, status: int, code: str
) -> None:
    answer = gateway.alpha.post(TASKS, files=parts)  # type: ignore[arg-type] - httpx's own type is narrower than it is

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert sandbox.ledger()["creates"] == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/mixed", ""])
def test_another_content_type_is_a_415(gateway: Gateway, content_type: str) -> None:
    answer = gateway.alpha.post(TASKS, content=b"{}", headers={"Content-Type": content_type})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", [TASKS, "/api/v1/quotes", "/api/v1/subscriptions"])
def test_too_much_json_is_a_413_problem_announced_or_not(gateway: Gateway, path: str) -> None:
    body = b'{"prompt":"' + b"x" * 300_000 + b'"}'

    announced = gateway.alpha.post(path, content=body, headers=JSON)
    streamed = gateway.alpha.post(path, content=iter([body[:200_000], body[200_000:]]), headers=JSON)

    assert [answer.json()["code"] for answer in (announced, streamed)] == ["body_too_large"] * 2
    assert {answer.headers["Content-Type"] for answer in (announced, streamed)} == {"application/problem+json"}
