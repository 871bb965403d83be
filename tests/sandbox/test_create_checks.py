"""What the upstream refuses: each wrong create names what is wrong, charges nothing and is counted."""

import json
from typing import Any

import pytest

from tests.sandbox.orders import CREATE, MODEL, create, created, picture
from tests.support.sandbox import Sandbox

MIB = 1024 * 1024


def wrong(status: int, word: str, fields: dict[str, Any], *assets: bytes) -> tuple[int, str, dict[str, Any], Any]:
    return status, word, fields, assets


def parameters(**chosen: Any) -> dict[str, str]:
    return {"model_parameters": json.dumps(chosen)}


WRONG = {
    "no prompt": wrong(400, "prompt", {"prompt": None}),
    "blank prompt": wrong(400, "prompt", {"prompt": "  "}),
    "prompt over 4000 characters": wrong(400, "4000", {"prompt": "x" * 4001}),
    "prompt over the model's own limit": wrong(400, "1000", {"prompt": "x" * 1001, "model_id": "recraft-v4.1"}),
    "no model": wrong(400, "model_id", {"model_id": None}),
    "unknown model": wrong(500, MODEL, {"model_id": "no-such-model"}),
    "no images": wrong(400, "1 to 4", {"generations_count": "0"}),
    "more images than the model makes": wrong(
        400, "1 to 1", {"model_id": "gemini-2.5-flash-image", "generations_count": "2"}
    ),
    "count in words": wrong(400, "generations_count", {"generations_count": "two"}),
    "parameters that are no JSON": wrong(400, "JSON", {"model_parameters": "{"}),
    "parameters that are no object": wrong(400, "object", {"model_parameters": "[]"}),
    "ratio not on the list": wrong(422, "aspect_ratio", parameters(aspect_ratio="7:5")),
    "ratio of another type": wrong(422, "aspect_ratio", parameters(aspect_ratio=["1:1"])),
    "resolution not on the list": wrong(422, "resolution", parameters(resolution="8K")),
    "resolution of a model without": wrong(
        422, "resolution", {"model_id": "gpt-image-1", **parameters(resolution="1K")}
    ),
    "quality of a model without": wrong(422, "quality", parameters(quality="high")),
    "seed in words": wrong(422, "seed", parameters(seed="lucky")),
    "unknown parameter": wrong(422, "style", parameters(style="oil")),
    "negative prompt where unsupported": wrong(422, "negative_prompt", parameters(negative_prompt="rain")),
    "receive_url that is none": wrong(400, "receive_url", {"receive_url": "ftp://x"}),
    "reference without a file": wrong(400, "@img", {"prompt": "use @img1"}),
    "file without a reference": wrong(400, "@img", {"prompt": "use none"}, picture()),
    "reference beyond the files": wrong(400, "@img", {"prompt": "@img1 and @img3"}, picture(), picture()),
    "too many assets": wrong(400, "10", {}, *[picture()] * 11),
    "asset over 5 MB": wrong(400, "5 MB", {}, picture("PNG", 5 * MIB)),
    "asset that only claims to be an image": wrong(400, "PNG", {}, b"GIF89a, or so it says"),
    "empty asset": wrong(400, "PNG", {}, b""),
    "assets for a model that takes none": wrong(400, "takes no", {"model_id": "recraft-v4.1"}, picture()),
    "no assets for a model that needs one": wrong(400, "at least one", {"model_id": "flux-1-kontext"}),
}


@pytest.mark.parametrize(("status", "word", "fields", "assets"), WRONG.values(), ids=WRONG)
def test_a_wrong_create_is_refused_and_costs_nothing(
    sandbox: Sandbox, status: int, word: str, fields: dict[str, Any], assets: tuple[bytes, ...]
) -> None:
    before = sandbox.ledger()["balance"]

    answer = create(sandbox, fields, assets)

    ledger = sandbox.ledger()
    assert answer.status_code == status
    assert word in answer.text
    assert (ledger["creates"], ledger["balance"]) == ([], before)
    assert sum(ledger["refused"].values()) == 1


def test_a_wrong_parameter_is_named_in_an_error_list(sandbox: Sandbox) -> None:
    (error,) = create(sandbox, parameters(resolution="8K")).json()["errors"]

    assert error["field"] == "model_parameters.resolution"


def test_an_asset_of_exactly_5_mb_is_taken(sandbox: Sandbox) -> None:
    assert created(sandbox, assets=[picture("PNG", 5 * MIB - len(picture()))])


def test_ten_references_are_ten_different_ones(sandbox: Sandbox) -> None:
    assert created(sandbox, assets=[picture()] * 10)


def test_a_lenient_upstream_takes_files_that_the_prompt_does_not_name(sandbox: Sandbox) -> None:
    sandbox.moods({"img_references": "lenient"})

    assert created(sandbox, {"prompt": "use none"}, [picture()])
    assert create(sandbox, {"prompt": "@img2"}, [picture()]).status_code == 400


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", b"x", 415),
        ("", b"x", 415),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx', 400),
        ("multipart/form-data; boundary=b", b"no boundary here", 400),
        ("application/json", b"{", 400),
        ("application/json", b'["prompt"]', 400),
        ("application/json", b'{"prompt": "\\ud800"}', 400),
        ("application/x-www-form-urlencoded", b"prompt=" + b"x" * MIB, 413),
    ],
    ids=[
        "plain text",
        "no content type",
        "no boundary",
        "an unfinished form",
        "not a form at all",
        "broken JSON",
        "JSON that is no object",
        "half a character",
        "a megabyte of text",
    ],
)
def test_a_body_that_cannot_be_read_is_the_callers_error(
    sandbox: Sandbox, content_type: str, body: bytes, status: int
) -> None:
    answer = sandbox.api.post(CREATE, content=body, headers={"Content-Type": content_type})

    assert answer.status_code == status
    assert answer.json()["success"] is False
