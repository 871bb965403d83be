"""With `stream`, OpenAI's library gets comments while the task runs, then each picture, or an exception."""

from collections.abc import Iterator

import openai
import pytest

from tests.journeys.native_orders import MODEL
from tests.openai.library import PROMPT, creates, decoded, library, sent_pictures
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with library(gateway.url) as client:
        yield client


def test_a_generation_ends_with_an_event_for_each_picture(client: openai.OpenAI, sandbox: Sandbox) -> None:
    stream = client.images.generate(model=MODEL, prompt=PROMPT, n=2, stream=True, partial_images=2)

    events = list(stream)
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert [decoded(event).size for event in events] == [(2048, 2048)] * 2
    assert {event.output_format for event in events} == {"png"}
    assert events[0].usage.total_tokens == 0
    assert creates(sandbox) == 1


def test_an_edit_ends_with_its_own_event(client: openai.OpenAI, sandbox: Sandbox) -> None:
    stream = client.images.edit(model=MODEL, prompt=PROMPT, image=sent_pictures(3), stream=True)

    [event] = list(stream)
    assert event.type == "image_edit.completed"
    assert decoded(event).format == "PNG"
    assert creates(sandbox) == 1


def test_a_refusal_is_raised_before_the_stream_begins(client: openai.OpenAI, sandbox: Sandbox) -> None:
    with pytest.raises(openai.BadRequestError, match="1 to 4"):
        client.images.generate(model=MODEL, prompt=PROMPT, n=9, stream=True)

    assert creates(sandbox) == 0


def test_a_task_that_fails_on_the_way_is_raised_with_its_reason(client: openai.OpenAI, sandbox: Sandbox) -> None:
    sandbox.moods({"task_error": {"next": 1}})
    stream = client.images.generate(model=MODEL, prompt=PROMPT, stream=True)

    with pytest.raises(openai.APIError, match="temporary_model_error") as caught:
        list(stream)

    assert caught.value.code == "upstream_failed"
    assert creates(sandbox) == 1


def test_a_stream_waits_beyond_the_cap_and_comments_keep_it_alive(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_OPENAI_WAIT_MAX_S": "0.2", "GATEWAY_STREAM_QUIET_S": "0.2"})
    sandbox.moods({"duration_s": 1.5})
    wanted = {"model": MODEL, "prompt": PROMPT, "stream": True, "response_format": "url"}

    with gateway.alpha.stream("POST", "/openai/v1/images/generations", json=wanted) as answer:
        lines = [line for line in answer.iter_lines() if line]

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert sum(line.startswith(":") for line in lines) >= 3
    assert lines[-2:][0] == "event: image_generation.completed"
    assert creates(sandbox) == 1


def test_a_stream_that_a_restart_cuts_says_where_the_task_is_and_is_joined(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway()
    sandbox.moods({"duration_s": 60})
    with library(gateway.url) as client:
        stream = client.images.generate(model=MODEL, prompt=PROMPT, stream=True)
        [task] = gateway.alpha.get("/api/v1/tasks").json()["items"]
        gateway.program.terminate()
        with pytest.raises(openai.APIError, match=task["id"]):
            list(stream)
        gateway.program.wait()
        gateway.start_again()

        upstream_id = sandbox.ledger()["creates"][0]["task_id"]
        sandbox.api.post(f"/_sandbox/tasks/{upstream_id}/finish").raise_for_status()
        [event] = list(client.images.generate(model=MODEL, prompt=PROMPT, stream=True))

    assert decoded(event).format == "PNG"
    assert creates(sandbox) == 1
