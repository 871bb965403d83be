"""The OpenAPI document is true: each request example works as written, each answer example fits its schema."""

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest

from service.app import Role, create_app
from service.settings import Settings
from tests.journeys.native_orders import picture
from tests.support.gateway import Gateway, StartGateway

DOCUMENT: dict[str, Any] = create_app(Settings(), Role.ALL).openapi()
JSON, FORM, PROBLEM = "application/json", "multipart/form-data", "application/problem+json"
URLENCODED = "application/x-www-form-urlencoded"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def request_examples() -> Iterator[Any]:
    for method, path, operation in operations():
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            for name, example in content["examples"].items():
                yield pytest.param(method, path, media_type, example["value"], id=f"{method} {path} {name}")


def answer_examples() -> Iterator[Any]:
    for method, path, operation in operations():
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get(JSON, {})
            if "example" in content:
                yield pytest.param(content["schema"], content["example"], id=f"{method} {path} {status}")


def sent(client: httpx.Client, method: str, path: str, media_type: str, value: dict[str, Any]) -> httpx.Response:
    if media_type == JSON:
        return client.request(method, path, json=value)
    texts = {name: text if isinstance(text, str) else orjson.dumps(text).decode() for name, text in value.items()}
    if media_type == URLENCODED:
        return client.request(method, path, data=texts)
    is_file = {name: "<the bytes of " in text for name, text in texts.items()}
    files = [
        (name, (f"image{n}.png", picture(), "image/png"))
        for name, listed in value.items()
        for n in range(len(listed) if isinstance(listed, list) else 1)
        if is_file[name]
    ]
    parts = [(name, (None, text)) for name, text in texts.items() if not is_file[name]]
    return client.request(method, path, files=[*parts, *files])


def placed(client: httpx.Client, path: str) -> str:
    """The path with the id of something that is there, new for each example."""
    if "{subscription_id}" not in path:
        return path
    made = client.post("/api/v1/subscriptions", json={"url": "http://10.0.0.7/hook"}).raise_for_status().json()
    return path.replace("{subscription_id}", made["id"])


def assert_fits(schema: dict[str, Any], value: object) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


def test_the_document_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")


def test_the_document_needs_no_key_and_is_the_one_that_is_tested(gateway: Gateway) -> None:
    served = gateway.anonymous.get("/openapi.json").json()

    assert served == DOCUMENT


@pytest.fixture
def open_gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway that may notify the private addresses of the examples, as one in a cluster may."""
    return start_gateway({"GATEWAY_OUTBOUND_ALLOW": "10.0.0.0/8"})


def test_each_request_example_works_as_written(open_gateway: Gateway) -> None:
    examples = [each.values for each in request_examples()]

    answers = [
        sent(open_gateway.alpha, method, placed(open_gateway.alpha, path), media_type, value)
        for method, path, media_type, value in examples
    ]

    assert len(answers) >= 5
    assert [answer.text for answer in answers if not answer.is_success] == []
    for (method, path, _, _), answer in zip(examples, answers, strict=True):
        documented = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]
        assert_fits(documented["content"][JSON]["schema"], answer.json())


@pytest.mark.parametrize(("schema", "example"), list(answer_examples()))
def test_each_answer_example_fits_its_schema(schema: dict[str, Any], example: object) -> None:
    assert_fits(schema, example)


def test_every_operation_under_api_shows_an_example_of_its_answer() -> None:
    shown = [
        any(
            "example" in each
            for answer in operation["responses"].values()
            for each in answer.get("content", {}).values()
        )
        for method, path, operation in operations()
        if path.startswith("/api/") and method != "delete"
    ]

    assert shown
    assert all(shown)


@pytest.mark.parametrize(("method", "path", "operation"), list(operations()))
def test_every_operation_is_explained_and_named(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["operationId"]
    assert operation["summary"]
    assert operation["description"]
    if path.startswith("/api/"):
        assert operation["security"] == [{"bearer": []}, {"apiKey": []}]
        assert {"400", "401", "503"} <= operation["responses"].keys()


def test_every_error_is_documented_as_a_problem() -> None:
    media_types = {
        media_type
        for _, path, operation in operations()
        if path.startswith("/api/")
        for status, answer in operation["responses"].items()
        if int(status) >= 400
        for media_type in answer["content"]
    }

    assert media_types == {PROBLEM}


def test_every_problem_that_is_answered_fits_its_schema(gateway: Gateway) -> None:
    answers = [
        gateway.anonymous.get("/api/v1/models"),
        gateway.alpha.get("/api/v1/models/none"),
        gateway.alpha.post("/api/v1/tasks", json={"prompt": ""}),
        gateway.alpha.post("/api/v1/quotes", content=b"{"),
    ]

    for answer in answers:
        assert_fits({"$ref": "#/components/schemas/Problem"}, answer.json())
