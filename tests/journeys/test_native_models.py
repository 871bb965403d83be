"""The catalogue over HTTP: what is on sale, by ETag, and from memory while the image API is down."""

import httpx

from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import StartSandbox
from tests.support.waiting import eventually


def test_the_models_on_sale_are_listed_with_what_they_take(gateway: Gateway) -> None:
    answer = gateway.alpha.get("/api/v1/models")

    assert answer.status_code == 200
    found = {model["model_id"]: model for model in answer.json()["items"]}
    assert found["bytedance-seedream-4.5"]["resolutions"] == ["2K", "4K"]
    assert found["bytedance-seedream-4.5"]["max_assets"] == 10
    assert "presented_credits" not in found["bytedance-seedream-4.5"]


def test_one_model_is_found_by_its_id(gateway: Gateway) -> None:
    answer = gateway.alpha.get("/api/v1/models/bytedance-seedream-4.5")

    assert answer.status_code == 200
    assert answer.json()["model_id"] == "bytedance-seedream-4.5"


def test_an_unknown_model_is_a_404_that_suggests_the_nearest(gateway: Gateway) -> None:
    answer = gateway.alpha.get("/api/v1/models/bytedance-seedream-45")

    assert answer.status_code == 404
    assert "Did you mean bytedance-seedream-4.5?" in answer.json()["detail"]


def test_who_holds_the_list_already_gets_a_304_without_a_body(gateway: Gateway) -> None:
    etag = gateway.alpha.get("/api/v1/models").headers["ETag"]

    answer = gateway.alpha.get("/api/v1/models", headers={"If-None-Match": f'"other", W/{etag}'})

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"] == etag


def test_the_last_list_is_served_with_its_age_while_the_image_api_is_down(
    start_sandbox: StartSandbox, start_gateway: StartGateway
) -> None:
    upstream = start_sandbox()
    gateway = start_gateway({"GATEWAY_UPSTREAM_URL": upstream.url, "GATEWAY_MODELS_FRESH_S": "0.05"})
    fresh = gateway.alpha.get("/api/v1/models").json()

    upstream.program.kill()
    stale = eventually(lambda: _stale_answer(gateway), what="a stale copy")

    assert stale.status_code == 200
    assert stale.json() == fresh
    assert stale.headers["Warning"].startswith("110 ")


def test_without_any_list_the_answer_is_503_with_retry_after(
    start_sandbox: StartSandbox, start_gateway: StartGateway
) -> None:
    upstream = start_sandbox()
    gateway = start_gateway({"GATEWAY_UPSTREAM_URL": upstream.url, "GATEWAY_UPSTREAM_RETRY_BUDGET_S": "0.2"})

    upstream.program.kill()
    answer = gateway.alpha.get("/api/v1/models")

    assert answer.status_code == 503
    assert answer.json()["code"] == "upstream_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1


def _stale_answer(gateway: Gateway) -> httpx.Response | None:
    answer = gateway.alpha.get("/api/v1/models")
    return answer if "Warning" in answer.headers else None
