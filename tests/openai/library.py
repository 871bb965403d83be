"""OpenAI's own Python library, pointed at the gateway and otherwise left as it comes."""

import base64
import io
from typing import Any

import openai
from openai.types import Image, ImagesResponse
from PIL import Image as PillowImage

from tests.journeys.native_orders import MODEL, picture
from tests.support.gateway import ALPHA_KEY, Gateway
from tests.support.sandbox import Sandbox

PROMPT = "A lighthouse at dusk"


def library(url: str, api_key: str = ALPHA_KEY) -> openai.OpenAI:
    """The library with default settings: 600 s of patience, two retries."""
    return openai.OpenAI(base_url=f"{url}/openai/v1", api_key=api_key)


def generate(client: openai.OpenAI, **fields: Any) -> ImagesResponse:
    """One request for pictures; by URL, unless the test wants them otherwise."""
    return client.images.generate(**{"model": MODEL, "prompt": PROMPT, "response_format": "url", **fields})


def sent_pictures(count: int) -> list[tuple[str, bytes, str]]:
    """Picture files, each of another width."""
    return [(f"{number}.png", picture("PNG", 20 + number), "image/png") for number in range(1, count + 1)]


def decoded(image: Image) -> PillowImage.Image:
    """The picture in `b64_json`, which has to be a whole one."""
    opened = PillowImage.open(io.BytesIO(base64.b64decode(image.b64_json or "", validate=True)))
    opened.load()
    return opened


def creates(sandbox: Sandbox) -> int:
    """How many creates the image API has accepted and charged."""
    return int(sandbox.ledger()["creates_total"])


def task_of(gateway: Gateway, answer: ImagesResponse) -> dict[str, Any]:
    """The task behind an answer, as the native API shows it."""
    task_id = (answer.model_extra or {})["task_id"]
    return dict(gateway.alpha.get(f"/api/v1/tasks/{task_id}").raise_for_status().json())
