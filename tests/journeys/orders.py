"""Builders for the journeys: a request that works, whatever else a test wants of it, and pictures to send along."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from PIL import Image

from tests.support.gateway import Gateway
from tests.support.waiting import eventually

MODEL = "bytedance-seedream-4.5"
PARAMETERS = {"aspect_ratio": "16:9", "resolution": "2K"}
FINAL = {"succeeded", "failed", "canceled"}


def picture(color: str = "teal", *, size_bytes: int = 0) -> bytes:
    """A true PNG, made larger by bytes behind its end if asked for."""
    written = io.BytesIO()
    Image.new("RGB", (8, 6), color).save(written, "PNG")
    return written.getvalue().ljust(size_bytes, b"\0")


def order(**fields: Any) -> dict[str, Any]:
    """A JSON request that is accepted; `fields` go over it."""
    return {"prompt": "A cat on a roof", "model_id": MODEL, "model_parameters": PARAMETERS} | fields


def create(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """Ask for images in JSON; the accepted task."""
    answer = client.post("/api/v1/tasks", json=order(**fields))
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def create_with_assets(client: httpx.Client, assets: Sequence[bytes], **fields: Any) -> httpx.Response:
    """Ask for images with reference images, as a multipart form; the prompt refers to each."""
    names = " and ".join(f"@img{number}" for number in range(1, len(assets) + 1))
    wanted = order(prompt=f"Merge {names}" if assets else "A cat on a roof") | fields
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in wanted.items()}
    files = [("assets", (f"{number}.png", asset, "image/png")) for number, asset in enumerate(assets, 1)]
    # A text field sent as a file without a name keeps httpx on multipart when there are no assets.
    return client.post("/api/v1/tasks", data=form, files=files or [("client_reference", (None, "none"))])


def ended(client: httpx.Client, task_id: str) -> dict[str, Any]:
    """The task once it has ended, waited for as a client would."""
    task = client.get(f"/api/v1/tasks/{task_id}", params={"wait": 45}).raise_for_status().json()
    assert task["state"] in FINAL, f"the task has no end: {task}"
    return dict(task)


def in_state(gateway: Gateway, task_id: str, state: str) -> dict[str, Any]:
    """The task as soon as it is in that state."""

    def look() -> dict[str, Any] | None:
        task = gateway.alpha.get(f"/api/v1/tasks/{task_id}").raise_for_status().json()
        return dict(task) if task["state"] == state else None

    return eventually(look, what=f"task {task_id} is {state}")


def events_of(gateway: Gateway, task_id: str) -> list[Mapping[str, Any]]:
    """What was told of the task, oldest first."""
    rows = gateway.database.rows("SELECT body FROM events WHERE task_id = $1 ORDER BY id", task_id)
    return [json.loads(row["body"]) for row in rows]


def event_types(gateway: Gateway, task_id: str) -> list[str]:
    """The kinds of event of the task, oldest first."""
    return [event["type"] for event in events_of(gateway, task_id)]
