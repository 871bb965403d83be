"""Code written for the image API with Node's fetch works against the gateway unchanged, while that is busy."""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.journeys.native_orders import picture
from tests.support.gateway import ALPHA_KEY, Gateway
from tests.support.sandbox import API_KEY, Sandbox

pytestmark = pytest.mark.sdk

PROGRAM = Path(__file__).with_name("small_clients.mjs")
STYLES = ("urlencoded", "flatJson", "fullPoller", "v3Poller", "sendsAgain", "ownQueue", "withReferences")
BUSY_FORMS = ("503", "429", "200", "mixed")
RUN_AT_MOST_S = 60
ACTIVE_TASK_CAP = 20


def buy(style: str, base_url: str, key: str, prompts: list[str]) -> list[str]:
    """The URLs of the images that the client bought, all at once."""
    environment = {**os.environ, "PICTURE": base64.b64encode(picture()).decode()}
    command = ["node", str(PROGRAM), style, base_url, key, *prompts]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_AT_MOST_S, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("style", STYLES)
def test_each_client_is_one_that_works_with_the_image_api(sandbox: Sandbox, style: str) -> None:
    urls = buy(style, sandbox.url, API_KEY, ["one", "two"])

    assert len(set(urls)) == sandbox.ledger()["creates_total"] == 2


@pytest.mark.parametrize("style", STYLES)
def test_each_client_works_through_the_gateway_while_the_image_api_is_busy(
    gateway: Gateway, sandbox: Sandbox, style: str
) -> None:
    urls: list[str] = []
    for form in BUSY_FORMS:
        sandbox.moods({"busy_poll": {"rate": 0.33, "form": form}, "duration_s": 0.05})
        urls += buy(style, gateway.url, ALPHA_KEY, [form])

    assert len(set(urls)) == sandbox.ledger()["creates_total"] == len(BUSY_FORMS)


@pytest.mark.parametrize("style", ["ownQueue", "fullPoller"])
def test_no_client_hears_of_the_cap_of_open_tasks(gateway: Gateway, sandbox: Sandbox, style: str) -> None:
    prompts = [f"view {number}" for number in range(ACTIVE_TASK_CAP + 5)]

    urls = buy(style, gateway.url, ALPHA_KEY, prompts)

    assert len(set(urls)) == sandbox.ledger()["creates_total"] == len(prompts)


@pytest.mark.parametrize("form", BUSY_FORMS)
def test_without_the_gateway_one_busy_poll_ends_a_client(sandbox: Sandbox, form: str) -> None:
    sandbox.moods({"busy_poll": {"next": 1, "form": form}})

    with pytest.raises(AssertionError, match="Error"):
        buy("fullPoller", sandbox.url, API_KEY, ["one"])
