"""A price before anything is paid, checked as the request itself would be."""

import pytest

from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox, StartSandbox

MODEL = "bytedance-seedream-4.5"


def test_a_quote_names_the_charge_and_what_it_is_for(gateway: Gateway, sandbox: Sandbox) -> None:
    wanted = {
        "model_id": MODEL,
        "generations_count": 2,
        "model_parameters": {"aspect_ratio": "16:9", "resolution": "2K"},
        "asset_count": 2,
    }

    answer = gateway.alpha.post("/api/v1/quotes", json=wanted)

    assert answer.status_code == 200, answer.text
    quote = answer.json()
    assert {name: quote[name] for name in wanted} == wanted
    assert quote["credits"] > 0
    assert quote["priced_at"].endswith("Z")


def test_what_was_quoted_is_what_is_charged(gateway: Gateway, sandbox: Sandbox) -> None:
    wanted = {"model_id": MODEL, "generations_count": 3, "model_parameters": {"resolution": "4K"}}
    quoted = gateway.alpha.post("/api/v1/quotes", json=wanted).json()["credits"]

    task = gateway.alpha.post("/api/v1/tasks", json={**wanted, "prompt": "A lighthouse"}).json()

    assert task["estimated_credits"] == quoted
    assert float(sandbox.ledger()["creates"][0]["credits"]) == quoted


def test_asking_for_a_price_leaves_nothing_behind(gateway: Gateway, sandbox: Sandbox) -> None:
    gateway.alpha.post("/api/v1/quotes", json={"model_id": MODEL})

    assert sandbox.ledger()["creates"] == []
    assert gateway.alpha.get("/api/v1/tasks").json()["items"] == []


@pytest.mark.parametrize(
    ("wrong", "field", "remedy"),
    [
        ({"model_id": "seedream"}, "model_id", "The models are"),
        ({"model_id": "gpt-image-11"}, "model_id", "Did you mean gpt-image-1"),
        ({"generations_count": 9}, "generations_count", "1 to 4"),
        ({"generations_count": True}, "generations_count", "valid integer"),
        ({"model_parameters": {"aspect_ratio": "7:5"}}, "model_parameters.aspect_ratio", "16:9, 4:3"),
        ({"model_parameters": {"quality": "high"}}, "model_parameters.quality", "takes no such parameter"),
        ({"model_parameters": {"ratio": "1:1"}}, "model_parameters.ratio", "aspect_ratio"),
        ({"asset_count": 11}, "assets", "at most 10"),
        ({"asset_count": -1}, "asset_count", "greater than or equal to 0"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_its_remedy(
    gateway: Gateway, wrong: dict[str, object], field: str, remedy: str
) -> None:
    answer = gateway.alpha.post("/api/v1/quotes", json={"model_id": MODEL, **wrong})

    assert answer.status_code == 422
    found = {each["field"]: each["message"] for each in answer.json()["errors"]}
    assert remedy in found[field]


def test_every_wrong_value_is_named_at_once(gateway: Gateway) -> None:
    wrong = {"aspect_ratio": "7:5", "resolution": "9K"}

    answer = gateway.alpha.post(
        "/api/v1/quotes",
        json={"model_id": MODEL, "generations_count": 0, "model_parameters": wrong},
    )

    assert [each["field"] for each in answer.json()["errors"]] == [
        "generations_count",
        "model_parameters.aspect_ratio",
        "model_parameters.resolution",
    ]


def test_while_the_image_api_is_down_a_quote_is_a_503_with_retry_after(
    start_sandbox: StartSandbox, start_gateway: StartGateway
) -> None:
    upstream = start_sandbox()
    gateway = start_gateway({"GATEWAY_UPSTREAM_URL": upstream.url, "GATEWAY_UPSTREAM_RETRY_BUDGET_S": "0.2"})
    gateway.alpha.get("/api/v1/models").raise_for_status()

    upstream.program.kill()
    answer = gateway.alpha.post("/api/v1/quotes", json={"model_id": MODEL})

    assert answer.status_code == 503
    assert answer.json()["code"] == "upstream_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
