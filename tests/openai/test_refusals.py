"""What cannot be done raises the library's own errors with text that helps, charges nothing, and is not tried again."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from tests.openai.library import PROMPT, creates, generate, library, sent_pictures
from tests.support.gateway import Gateway
from tests.support.sandbox import Sandbox


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with library(gateway.url) as client:
        yield client


def edit(client: openai.OpenAI, **fields: Any) -> object:
    return client.images.edit(**{"model": "gpt-image-2", "prompt": PROMPT, "image": sent_pictures(1)[0], **fields})


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"model": None}, "model", "name one of the models: gpt-image-2"),
        ({"size": "100x4000"}, "size", "its ratios are"),
        ({"size": "huge"}, "size", "WIDTHxHEIGHT"),
        ({"quality": "high"}, "quality", "no choice of qualities"),
        ({"n": 5}, "n", "1 to 4"),
        ({"n": 0}, "n", "greater than or equal to 1"),
        ({"prompt": " "}, "prompt", "must not be empty"),
        ({"prompt": "x" * 4001}, "prompt", "at most 4000"),
        ({"background": "transparent"}, "background", "'auto' or 'opaque'"),
        ({"moderation": "low"}, "moderation", "'auto'"),
        ({"output_format": "webp"}, "output_format", "'png'"),
        ({"output_compression": 50}, "output_compression", "100"),
        ({"style": "natural"}, "style", "'vivid'"),
        ({"response_format": "xml"}, "response_format", "'url' or 'b64_json'"),
        ({"extra_body": {"aspect_ratio": "1:1"}}, "aspect_ratio", "did you mean `size`?"),
        ({"extra_body": {"guidance": 7}}, "guidance", "is not a field here"),
        ({"svg": {"model": "x"}}, "svg", "makes no such output"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_wrong_generation_is_a_bad_request_that_names_the_field(
    client: openai.OpenAI, sandbox: Sandbox, fields: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        generate(client, **fields)

    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")
    assert words in str(caught.value)
    assert creates(sandbox) == 0


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"mask": sent_pictures(1)[0]}, "mask", "no model here takes a mask"),
        ({"markup": sent_pictures(1)[0]}, "markup", "no model here takes a mask"),
        ({"extra_body": {"image_url": "x"}}, "image_url", "did you mean `image`, `image[]`?"),
        ({"input_fidelity": "high"}, "input_fidelity", "'low'"),
        ({"image": ("a.png", b"no picture", "image/png")}, "image[0]", "not an image"),
        ({"image": []}, "image", "at least one picture"),
        ({"prompt": "Only @img2"}, "prompt", "one file was sent, @img1"),
        ({"model": "recraft-v4.1"}, "image", "takes no reference images"),
        ({"n": 11}, "n", "less than or equal to 10"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_wrong_edit_is_a_bad_request_that_names_the_field(
    client: openai.OpenAI, sandbox: Sandbox, fields: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        edit(client, **fields)

    assert caught.value.param == param
    assert words in str(caught.value)
    assert creates(sandbox) == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: generate(client, model="gpt-image-22"),
        lambda client: edit(client, model="gpt-image-22"),
        lambda client: client.models.retrieve("gpt-image-22"),
    ],
    ids=["generate", "edit", "retrieve"],
)
def test_a_model_that_there_is_not_is_not_found(
    client: openai.OpenAI, sandbox: Sandbox, ask: Callable[[openai.OpenAI], object]
) -> None:
    with pytest.raises(openai.NotFoundError, match="Did you mean gpt-image-2") as caught:
        ask(client)

    assert caught.value.code == "model_not_found"
    assert creates(sandbox) == 0


def test_a_wrong_key_is_an_authentication_error(gateway: Gateway) -> None:
    with library(gateway.url, "key-of-nobody") as client, pytest.raises(openai.AuthenticationError) as caught:
        generate(client)

    assert caught.value.code == "invalid_api_key"
    assert "Authorization: Bearer" in str(caught.value)


def test_an_empty_account_is_told_as_such_and_asked_once(client: openai.OpenAI, sandbox: Sandbox) -> None:
    sandbox.api.patch("/_sandbox/moods", json={"create_error": {"next": 1, "status": 402}}).raise_for_status()

    with pytest.raises(openai.APIStatusError) as caught:
        generate(client)

    assert (caught.value.status_code, caught.value.code) == (402, "insufficient_quota")
    assert sandbox.ledger()["requests_by_endpoint"]["create"] == 1
    assert creates(sandbox) == 0


def test_a_refusal_by_the_image_api_comes_in_its_own_words_and_is_asked_once(
    client: openai.OpenAI, sandbox: Sandbox
) -> None:
    sandbox.moods({"create_error": {"next": 1, "status": 422}})

    with pytest.raises(openai.BadRequestError) as caught:
        generate(client)

    assert len(str(caught.value)) > len("Error code: 400 - ")
    assert sandbox.ledger()["requests_by_endpoint"]["create"] == 1


def test_a_task_that_fails_is_told_once_and_the_same_wish_afterwards_is_a_new_one(
    client: openai.OpenAI, gateway: Gateway, sandbox: Sandbox
) -> None:
    sandbox.moods({"task_error": {"next": 1}})

    with pytest.raises(openai.InternalServerError, match="temporary_model_error") as caught:
        generate(client)
    again = generate(client)

    failed = gateway.alpha.get("/api/v1/tasks", params={"state": "failed"}).json()["items"]
    assert [task["id"] for task in failed] == [dict(caught.value.body or {})["task_id"]]  # type: ignore[call-overload]
    assert again.data
    assert creates(sandbox) == 2
