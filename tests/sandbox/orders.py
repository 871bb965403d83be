"""Create requests for the sandbox's tests, with everything that a test does not care about already filled in."""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import httpx
from PIL import Image

from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

MODEL = "bytedance-seedream-4.5"
PRICE = 1188
CREATE = "/v1i/task/generate-image"


@cache
def picture(kind: str = "PNG", padding_bytes: int = 0) -> bytes:
    """A real image file, longer by so many bytes behind its end."""
    encoded = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(encoded, kind)
    return encoded.getvalue() + b"\0" * padding_bytes


def create(
    sandbox: Sandbox, fields: Mapping[str, Any] | None = None, assets: Sequence[bytes] = (), **more: Any
) -> httpx.Response:
    """Send a create as multipart; the prompt names the assets unless `fields` has another."""
    prompt = " ".join(["a lighthouse", *(f"@img{place}" for place in range(1, len(assets) + 1))])
    form = {"prompt": prompt, "model_id": MODEL, **(fields or {})}
    parts: list[tuple[str, Any]] = [(name, (None, value)) for name, value in form.items() if value is not None]
    files = [("assets", (f"{place}.png", asset, "image/png")) for place, asset in enumerate(assets, 1)]
    return sandbox.api.post(CREATE, files=[*parts, *files], **more)


def created(sandbox: Sandbox, fields: Mapping[str, Any] | None = None, assets: Sequence[bytes] = ()) -> str:
    """The id of a task that was taken."""
    answer = create(sandbox, fields, assets)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["task_id"])


def poll(sandbox: Sandbox, task_id: str) -> dict[str, Any]:
    """The task as a clean poll shows it."""
    return dict(sandbox.api.get(f"/v1/task/{task_id}").raise_for_status().json())


def ended(sandbox: Sandbox, task_id: str) -> dict[str, Any]:
    """The task once it is no longer doing."""

    def look() -> dict[str, Any] | None:
        task = poll(sandbox, task_id)
        return task if task["status"] != "doing" else None

    task = eventually(look, what="the end of the task")
    assert task is not None
    return task


def entry(sandbox: Sandbox, task_id: str) -> dict[str, Any]:
    """The ledger's line about a task."""
    (found,) = [each for each in sandbox.ledger()["creates"] if each["task_id"] == task_id]
    return dict(found)


def balance(sandbox: Sandbox) -> int:
    """What the account holds."""
    return int(sandbox.ledger()["balance"])
