"""Requests as clients of the image API send them, with everything that a test does not care about filled in."""

from typing import Any

import httpx

from tests.journeys.native_orders import picture
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

MODEL = "bytedance-seedream-4.5"
CREATE = "/v1i/task/generate-image"
WISH: dict[str, Any] = {"prompt": "A lighthouse at dusk", "model_id": MODEL}


def flat(**fields: Any) -> dict[str, Any]:
    """The JSON of a create with its parameters at top level."""
    return {**WISH, "aspect_ratio": "16:9", "resolution": "2K", **fields}


def create(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """A create that is answered with success."""
    answer = client.post(CREATE, json=flat(**fields))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def create_with_assets(client: httpx.Client, count: int, **fields: str) -> httpx.Response:
    """A multipart create whose prompt names so many files."""
    names = " and ".join(f"@img{number}" for number in range(1, count + 1))
    form = {**WISH, "prompt": f"Merge {names}", **fields}
    return client.post(CREATE, data=form, files=[("assets", (f"{n}.png", picture())) for n in range(count)])


def ended(client: httpx.Client, task_id: str) -> dict[str, Any]:
    """The task once it is done or in error."""

    def look() -> dict[str, Any] | None:
        task = client.get(f"/v1/task/{task_id}").raise_for_status().json()
        return dict(task) if task["status"] != "doing" else None

    return eventually(look, timeout_s=20, what=f"task {task_id} ends")


def shown(gateway: Gateway, task_id: str) -> dict[str, Any]:
    """The task as alpha polls it."""
    return dict(gateway.alpha.get(f"/v1/task/{task_id}").raise_for_status().json())
