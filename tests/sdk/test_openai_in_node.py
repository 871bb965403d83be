"""OpenAI's own Node library with default settings gets what it asks for, and each picture is paid for once."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.native_orders import picture
from tests.openai.balancer import Balancer
from tests.openai.library import creates
from tests.support.gateway import ALPHA_KEY, Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

pytestmark = pytest.mark.sdk

PROGRAM = Path(__file__).with_name("openai_calls.mjs")
PNG = "\x89PNG"
SHORT_CAP = {"GATEWAY_OPENAI_WAIT_MAX_S": "0.6"}
RUN_AT_MOST_S = 60


@pytest.fixture(scope="module")
def node_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, "openai@6"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


class NodeLibrary:
    """Runs one call of the library against a gateway."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def call(self, url: str, name: str, **fields: Any) -> dict[str, Any]:
        """What came of it; pictures are left as URLs unless the test wants them otherwise."""
        environment = {**os.environ, "PICTURE": base64.b64encode(picture()).decode()}
        wanted = json.dumps({"response_format": "url", **fields})
        done = subprocess.run(
            ["node", str(PROGRAM), url, ALPHA_KEY, name, wanted],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_AT_MOST_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))


@pytest.fixture
def node(node_project: Path) -> NodeLibrary:
    return NodeLibrary(node_project)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(10) as pool:
        yield pool


def finish_all(sandbox: Sandbox) -> None:
    for each in sandbox.ledger()["creates"]:
        sandbox.api.post(f"/_sandbox/tasks/{each['task_id']}/finish").raise_for_status()


def test_it_knows_the_models(gateway: Gateway, node: NodeLibrary) -> None:
    assert node.call(gateway.url, "models")["images"][0]["id"] == "bytedance-seedream-4.5"


@pytest.mark.parametrize(
    ("name", "fields", "count"),
    [
        pytest.param("generate", {}, 1, id="generate"),
        pytest.param("generate", {"n": 4, "size": "1792x1024"}, 4, id="four pictures"),
        pytest.param("edit", {"pictures": 1}, 1, id="edit one picture"),
        pytest.param("edit", {"pictures": 3}, 1, id="edit three pictures"),
    ],
)
def test_pictures_come_by_url(
    gateway: Gateway, sandbox: Sandbox, node: NodeLibrary, name: str, fields: dict[str, Any], count: int
) -> None:
    answer = node.call(gateway.url, name, **fields)

    assert len({image["url"] for image in answer["images"]}) == count
    assert answer["facts"]["credits"] > 0
    assert creates(sandbox) == 1


@pytest.mark.parametrize("name", ["generate", "stream"])
def test_pictures_come_in_base64(gateway: Gateway, sandbox: Sandbox, node: NodeLibrary, name: str) -> None:
    answer = node.call(gateway.url, name, n=2, response_format="b64_json")

    assert [image["head"] for image in answer["images"]] == [PNG, PNG]
    assert creates(sandbox) == 1


@pytest.mark.parametrize(
    ("name", "fields", "error"),
    [
        pytest.param("generate", {"model": "gpt-image-22"}, ("NotFoundError", "model_not_found"), id="wrong model"),
        pytest.param("generate", {"n": 9}, ("BadRequestError", "invalid_value"), id="too many"),
        pytest.param("stream", {"size": "huge"}, ("BadRequestError", "invalid_value"), id="stream of a wrong size"),
    ],
)
def test_a_wrong_request_is_an_error_with_text_and_charges_nothing(
    gateway: Gateway, sandbox: Sandbox, node: NodeLibrary, name: str, fields: dict[str, Any], error: tuple[str, str]
) -> None:
    told = node.call(gateway.url, name, **fields)["error"]

    assert (told["name"], told["code"]) == error
    assert len(told["message"]) > len("404 ")
    assert creates(sandbox) == 0


def test_an_empty_account_is_told_as_such_and_asked_once(gateway: Gateway, sandbox: Sandbox, node: NodeLibrary) -> None:
    sandbox.moods({"create_error": {"next": 1, "status": 402}})

    told = node.call(gateway.url, "generate")["error"]

    assert (told["status"], told["code"]) == (402, "insufficient_quota")
    assert sandbox.ledger()["requests_by_endpoint"]["create"] == 1


def test_a_task_that_fails_in_a_stream_is_thrown_with_its_reason(
    gateway: Gateway, sandbox: Sandbox, node: NodeLibrary
) -> None:
    sandbox.moods({"task_error": {"next": 1}})

    told = node.call(gateway.url, "stream")["error"]

    assert "temporary_model_error" in told["message"]
    assert creates(sandbox) == 1


def test_a_task_slower_than_the_cap_comes_with_a_retry(
    start_gateway: StartGateway, sandbox: Sandbox, node: NodeLibrary
) -> None:
    gateway = start_gateway(SHORT_CAP)
    sandbox.moods({"duration_s": 1.5})

    answer = node.call(gateway.url, "generate")

    assert answer["images"][0]["url"]
    assert creates(sandbox) == 1


def test_a_client_that_is_less_patient_than_the_task_is_answered_in_time(
    gateway: Gateway, sandbox: Sandbox, node: NodeLibrary
) -> None:
    sandbox.moods({"duration_s": 1.5})

    answer = node.call(gateway.url, "impatient")

    assert answer["images"][0]["url"]
    assert creates(sandbox) == 1


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_gateway_that_ends_while_it_waits_is_joined_at_the_next_one(
    start_gateway: StartGateway, sandbox: Sandbox, node: NodeLibrary, pool: ThreadPoolExecutor, end: str
) -> None:
    sandbox.moods({"duration_s": 60})
    with Balancer() as balancer:
        first, second = (start_gateway({"GATEWAY_PUBLIC_URL": balancer.url}) for _ in range(2))
        balancer.urls = [first.url, second.url]
        asking = pool.submit(node.call, balancer.url, "generate")
        eventually(lambda: creates(sandbox), what="the image API has accepted")

        getattr(first.program, end)()
        first.program.wait()
        finish_all(sandbox)
        answer = asking.result(timeout=RUN_AT_MOST_S)

    assert answer["images"][0]["url"]
    assert creates(sandbox) == 1


def test_a_busy_upstream_that_drops_creates_after_accepting_them_is_not_felt(
    gateway: Gateway, sandbox: Sandbox, node: NodeLibrary, pool: ThreadPoolExecutor
) -> None:
    sandbox.moods({"busy_poll": {"rate": 0.33, "form": "mixed"}, "create_cut": {"rate": 0.1, "next": 1}})
    prompts = [f"view {number}" for number in range(10)]

    asked = [pool.submit(node.call, gateway.url, "generate", prompt=prompt) for prompt in prompts]
    answers = [asking.result() for asking in asked]

    assert all(answer["images"][0]["url"] for answer in answers)
    assert sorted(each["prompt"] for each in sandbox.ledger()["creates"]) == prompts
