"""What the sandbox sells: its model list, its prices, and a catalogue that changes while it runs."""

from typing import Any

import pytest

from service.sandbox.catalogue import PARAMETER_LISTS, load_catalogue
from tests.sandbox.orders import MODEL, create
from tests.support.sandbox import Sandbox


def price(sandbox: Sandbox, request: dict[str, Any]) -> Any:
    return sandbox.api.post("/v1i/task/price", json={"model_id": MODEL, **request}).raise_for_status().json()


def models(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    answer = sandbox.api.get("/v1i/models").raise_for_status().json()
    assert answer["success"] is True
    return {model["model_id"]: model for model in answer["models"]}


def test_every_published_model_is_on_offer_with_what_clients_look_at(sandbox: Sandbox) -> None:
    needed = {
        "max_generations",
        "supports_images",
        "requires_reference_images",
        "supports_enhance_prompt",
        "supports_negative_prompt",
        "max_assets",
    }

    offered = models(sandbox)

    assert len(offered) == 22
    assert all(needed <= set(model) for model in offered.values())


def test_clients_meet_models_of_every_kind() -> None:
    lines = [dict(model.line) for model in load_catalogue({}).models.values()]

    assert any("resolutions" not in line for line in lines)
    assert any(line.get("resolutions", []) is None for line in lines)
    assert any(line.get("qualities") for line in lines)
    assert any(line["max_assets"] == 0 and not line["supports_images"] for line in lines)
    assert any(line["requires_reference_images"] for line in lines)
    assert any("max_prompt_length" not in line for line in lines)
    assert {line["max_generations"] for line in lines} >= {1, 2, 4}


def test_every_default_is_one_of_the_choices() -> None:
    for model in load_catalogue({}).models.values():
        for parameter in PARAMETER_LISTS:
            default = model.line.get(f"default_{parameter}")
            assert default is None or default in model.choices(parameter), (model.model_id, parameter)


@pytest.mark.parametrize(
    ("request_", "credits"),
    [
        ({"model_parameters": {"aspect_ratio": "16:9", "resolution": "2K"}, "assets": 2}, 1188),
        ({}, 1188),
        ({"model_parameters": {"resolution": "4K"}}, 2376),
        ({"generations_count": 4, "model_parameters": {"resolution": "2K"}}, 4752),
        ({"generations_count": "3"}, 3564),
        ({"model_id": "gpt-image-2", "model_parameters": {"resolution": "2K", "quality": "low"}}, 656),
        ({"model_id": "gpt-image-2", "model_parameters": {"resolution": "2K", "quality": "high"}}, 4100),
        ({"prompt": "clients send more than is asked", "receive_url": "x"}, 1188),
    ],
    ids=[
        "the vendor's example",
        "defaults",
        "larger",
        "four images",
        "count as a string",
        "low quality",
        "high quality",
        "more keys than known",
    ],
)
def test_a_price_follows_from_model_size_quality_and_count(
    sandbox: Sandbox, request_: dict[str, Any], credits: int
) -> None:
    assert price(sandbox, request_) == {"success": True, "credits": credits}


def test_the_charge_equals_the_quote_and_not_the_presented_credits(sandbox: Sandbox) -> None:
    quoted = price(sandbox, {"generations_count": 2})["credits"]

    answer = create(sandbox, {"generations_count": "2"}).json()

    assert answer["estimated_credits"] == quoted == sandbox.ledger()["creates"][0]["credits"]
    assert 3 <= quoted / 2 / models(sandbox)[MODEL]["presented_credits"] <= 7


def test_pricing_charges_nothing(sandbox: Sandbox) -> None:
    before = sandbox.ledger()["balance"]

    price(sandbox, {})

    assert sandbox.ledger()["balance"] == before


@pytest.mark.parametrize(
    ("form", "expected"),
    [("number", {"credits": 1188}), ("string", {"credits": "1188"}), ("missing", {})],
    ids=["number", "string", "missing"],
)
def test_prices_and_balance_come_in_the_form_the_mood_names(
    sandbox: Sandbox, form: str, expected: dict[str, Any]
) -> None:
    sandbox.moods({"credits_form": form})

    assert price(sandbox, {}) == {"success": True} | expected
    assert type(sandbox.api.get("/v1/credits").json().get("credits")) is type(expected.get("credits"))


def test_the_model_list_changes_while_the_sandbox_runs(sandbox: Sandbox) -> None:
    patch = {
        MODEL: {"resolutions": ["2K", "8K"], "brand_new_field": 1},
        "flux-2-pro": None,
        "tomorrow-1": {"aspect_ratios": ["1:1"], "credits": 7},
    }

    sandbox.moods({"models_patch": patch})

    offered = models(sandbox)
    assert offered[MODEL]["resolutions"] == ["2K", "8K"]
    assert offered[MODEL]["brand_new_field"] == 1
    assert "flux-2-pro" not in offered
    assert offered["tomorrow-1"]["max_assets"] == 0
    assert "credits" not in offered["tomorrow-1"]
    assert price(sandbox, {"model_id": "tomorrow-1"})["credits"] == 7
    assert "flux-2-pro" not in create(sandbox, {"model_id": "gone"}).json()["message"]


def test_a_new_patch_of_the_models_replaces_the_one_before(sandbox: Sandbox) -> None:
    sandbox.moods({"models_patch": {"flux-2-pro": None}})

    sandbox.moods({"models_patch": {}})

    assert "flux-2-pro" in models(sandbox)


@pytest.mark.parametrize(
    "change",
    [{"credits": "dear"}, {"max_assets": "many"}, {"resolutions": "2K"}],
    ids=["credits in words", "count in words", "a list that is none"],
)
def test_a_model_that_could_not_be_sold_is_refused(sandbox: Sandbox, change: dict[str, Any]) -> None:
    answer = sandbox.api.patch("/_sandbox/moods", json={"models_patch": {MODEL: change}})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == f"models_patch.{next(iter(change))}"
    assert models(sandbox)[MODEL]["resolutions"] == ["2K", "4K"]
