"""Requests to the gateway, with everything that a test does not care about already filled in."""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import httpx
from PIL import Image

from tests.support.waiting import eventually

MODEL = "bytedance-seedream-4.5"
TASKS = "/api/v1/tasks"
FINAL = ("succeeded", "failed", "canceled")


@cache
def picture(kind: str = "PNG", width: int = 32, height: int = 32) -> bytes:
    """A real image file."""
    encoded = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(encoded, kind)
    return encoded.getvalue()


def order(**fields: Any) -> dict[str, Any]:
    """The JSON of a request for one image."""
    return {"prompt": "A lighthouse at dusk", "model_id": MODEL, **fields}


def form(
    assets: Sequence[bytes] = (), fields: Mapping[str, str] | None = None
) -> list[tuple[str, tuple[str | None, bytes | str] | tuple[str, bytes, str]]]:
    """The parts of a multipart request as `files=` takes them; the prompt names every file."""
    prompt = " ".join(["A lighthouse", *(f"@img{number}" for number in range(1, len(assets) + 1))])
    texts = {"prompt": prompt, "model_id": MODEL, **(fields or {})}
    return [
        *((name, (None, text)) for name, text in texts.items()),
        *(("assets", (f"{number}.png", asset, "image/png")) for number, asset in enumerate(assets, 1)),
    ]


def created(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """A task that was accepted."""
    answer = client.post(TASKS, json=order(**fields))
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def ended(client: httpx.Client, task_id: str) -> dict[str, Any]:
    """The task once it has ended."""

    def look() -> dict[str, Any] | None:
        task = client.get(f"{TASKS}/{task_id}", params={"wait": 5}).raise_for_status().json()
        return dict(task) if task["state"] in FINAL else None

    return eventually(look, timeout_s=20, what=f"task {task_id} ends")
