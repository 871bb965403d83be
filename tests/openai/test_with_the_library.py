"""OpenAI's own Python library with default settings gets what it asks for, and each picture is paid for once."""

import base64
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.journeys.native_orders import MODEL
from tests.openai.library import PROMPT, creates, decoded, generate, library, sent_pictures, task_of
from tests.support.gateway import BETA_KEY, Gateway
from tests.support.sandbox import Sandbox


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with library(gateway.url) as client:
        yield client


def test_it_lists_the_models(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}

    assert models[MODEL] == client.models.retrieve(MODEL)
    assert (models[MODEL].model_extra or {})["aspect_ratios"] == ["16:9", "4:3", "1:1", "3:4", "9:16"]


def test_a_picture_comes_both_ways_when_neither_is_asked_for(client: openai.OpenAI, sandbox: Sandbox) -> None:
    answer = client.images.generate(model=MODEL, prompt=PROMPT)

    [image] = answer.data or []
    shown = httpx.get(image.url or "").content
    assert base64.b64decode(image.b64_json or "") == shown
    assert decoded(image).format == "PNG"
    assert creates(sandbox) == 1


def test_the_answer_tells_what_was_chosen_what_it_cost_and_which_task_it_was(
    client: openai.OpenAI, gateway: Gateway
) -> None:
    answer = generate(client, model="gpt-image-2", size="1536x1024", quality="hd", user="u-1")

    told, task = answer.model_extra or {}, task_of(gateway, answer)
    assert told["model_parameters"] == {"aspect_ratio": "3:2", "resolution": "1K", "quality": "high"}
    assert (answer.quality, answer.output_format, answer.size) == ("high", "png", "1024x683")
    assert told["model"] == task["model_id"] == "gpt-image-2"
    assert told["credits"] == task["credits"] > 0
    assert task["model_parameters"] == told["model_parameters"]
    assert task["metadata"] == {"user": "u-1"}


def test_four_pictures_are_one_create(client: openai.OpenAI, sandbox: Sandbox) -> None:
    answer = generate(client, n=4, response_format="b64_json")

    images = answer.data or []
    assert [image.url for image in images] == [None] * 4
    assert [decoded(image).size for image in images] == [(2048, 2048)] * 4
    assert creates(sandbox) == 1


def test_by_url_alone_no_bytes_come_along(client: openai.OpenAI) -> None:
    [image] = generate(client).data or []

    assert image.b64_json is None
    assert httpx.get(image.url or "").headers["content-type"] == "image/png"


@pytest.mark.parametrize("count", [1, 3], ids=["one picture", "three pictures"])
def test_pictures_are_edited_in_their_order(
    client: openai.OpenAI, gateway: Gateway, sandbox: Sandbox, count: int
) -> None:
    files = sent_pictures(count)
    image = files[0] if count == 1 else files

    answer = client.images.edit(
        model=MODEL,
        prompt=PROMPT,
        image=image,
        size="1024x1024",
        n=2,
        response_format="url",
    )

    task = task_of(gateway, answer)
    assert len(answer.data or []) == 2
    assert task["prompt"] == " ".join([PROMPT, *(f"@img{number}" for number in range(1, count + 1))])
    assert [asset["size_bytes"] for asset in task["assets"]] == [len(content) for _, content, _ in files]
    assert creates(sandbox) == 1


def test_a_prompt_that_names_its_pictures_is_left_as_it_is(client: openai.OpenAI, gateway: Gateway) -> None:
    prompt = "Put @img2 on @img1"

    answer = client.images.edit(model=MODEL, prompt=prompt, image=sent_pictures(2), response_format="url")

    assert task_of(gateway, answer)["prompt"] == prompt


def test_what_was_answered_and_is_asked_for_again_is_another_picture(client: openai.OpenAI, sandbox: Sandbox) -> None:
    first, second = generate(client), generate(client)

    assert (first.model_extra or {})["task_id"] != (second.model_extra or {})["task_id"]
    assert creates(sandbox) == 2


def test_a_key_of_ones_own_joins_even_what_was_answered(client: openai.OpenAI, sandbox: Sandbox) -> None:
    key = {"Idempotency-Key": "order-4711"}

    first, second = (generate(client, extra_headers=key) for _ in range(2))

    assert (first.model_extra or {})["task_id"] == (second.model_extra or {})["task_id"]
    assert creates(sandbox) == 1


async def test_the_asynchronous_library_does_as_well(gateway: Gateway, sandbox: Sandbox) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/openai/v1", api_key=BETA_KEY) as client:
        answer = await client.images.generate(model=MODEL, prompt=PROMPT, response_format="b64_json")

    assert decoded((answer.data or [])[0]).format == "PNG"
    assert creates(sandbox) == 1
