"""Small clients as people write them for the image API, one for each style; none knows that there is a gateway.

Each buys one image for every prompt, by a base URL and a key, and gives the images' URLs in the order of the prompts.
"""

import json
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from urllib.error import HTTPError

import httpx
import requests

from tests.journeys.native_orders import picture
from tests.support.waiting import pause

MODEL = "bytedance-seedream-4.5"
POLLS_AT_MOST = 1000

Client = Callable[[str, str, Sequence[str]], list[str]]


def urlencoded(base_url: str, key: str, prompts: Sequence[str]) -> list[str]:
    """`requests`, the key in xi-api-key, a form without files; passes over polls that fail."""
    with requests.Session() as session:
        session.headers["xi-api-key"] = key
        return [_urlencoded(session, base_url, prompt) for prompt in prompts]


def _urlencoded(session: requests.Session, base_url: str, prompt: str) -> str:
    form = {"prompt": prompt, "model_id": MODEL, "generations_count": "1", "resolution": "2K"}
    created = session.post(f"{base_url}/v1i/task/generate-image", data=form, timeout=30).json()
    assert created["success"] is True, created
    for _ in range(POLLS_AT_MOST):
        answer = session.get(f"{base_url}/v1/task/{created['task_id']}", timeout=30)
        task = answer.json()
        if answer.status_code == 200 and task.get("status") == "done":
            return str(task["metadata"]["audio_url"])
        assert task.get("status") != "error", task["error_message"]
        pause()
    raise TimeoutError


def flat_json(base_url: str, key: str, prompts: Sequence[str]) -> list[str]:
    """`httpx`, JSON with the parameters at top level; minds its budget before and after each create."""
    with httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        return [_flat_json(client, prompt) for prompt in prompts]


def _flat_json(client: httpx.Client, prompt: str) -> str:
    wish = {"prompt": prompt, "model_id": MODEL, "generations_count": 1, "aspect_ratio": "16:9", "resolution": "2K"}
    price = client.post("/v1i/task/price", json=wish).raise_for_status().json()["credits"]
    assert price <= client.get("/v1/credits").raise_for_status().json()["credits"]
    created = client.post("/v1i/task/generate-image", json=wish).raise_for_status().json()
    assert created["estimated_credits"] * 1.0 <= price
    assert int(created["ec_remain_credits"]) >= 0
    for _ in range(POLLS_AT_MOST):
        answer = client.get(f"/v1/task/{created['task_id']}")
        task = answer.json() if answer.is_success else {}
        if task.get("status") == "done":
            assert task["credit_cost"] == price
            return str(task["metadata"]["result_images"][0]["imageUrl"])
        pause()
    raise TimeoutError


def full_poller(base_url: str, key: str, prompts: Sequence[str]) -> list[str]:
    """`urllib`, polls /full, and dies on the first answer that is not a clean 200."""
    return [_full_poller(base_url, key, prompt) for prompt in prompts]


def _full_poller(base_url: str, key: str, prompt: str) -> str:
    wish = urllib.parse.urlencode({"prompt": prompt, "model_id": MODEL}).encode()
    created = _asked(f"{base_url}/v1i/task/generate-image", key, wish)
    for _ in range(POLLS_AT_MOST):
        task = _asked(f"{base_url}/v1/task/{created['task_id']}/full", key)
        if task["status"] == "done":
            assert task["text"] == prompt
            return str(task["metadata"]["result_images"][0]["imageUrl"])
        pause()
    raise TimeoutError


def _asked(url: str, key: str, body: bytes | None = None) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"xi-api-key": key})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def v3_poller(base_url: str, key: str, prompts: Sequence[str]) -> list[str]:
    """`requests`, the bare key in Authorization, polls /v3 and looks into `data` without a second thought."""
    return [_v3_poller(base_url, {"Authorization": key}, prompt) for prompt in prompts]


def _v3_poller(base_url: str, headers: dict[str, str], prompt: str) -> str:
    wish = {"prompt": prompt, "model_id": MODEL, "model_parameters": json.dumps({"aspect_ratio": "1:1"})}
    parts = {name: (None, value) for name, value in wish.items()}
    created = requests.post(f"{base_url}/v1i/task/generate-image", files=parts, headers=headers, timeout=30).json()
    for _ in range(POLLS_AT_MOST):
        task = requests.get(f"{base_url}/v3/task/{created['task_id']}", headers=headers, timeout=30).json()["data"]
        if task["status"] == "done":
            return str(task["metadata"]["result_images"][0]["imageUrl"])
        pause()
    raise TimeoutError


def sends_again(base_url: str, key: str, prompts: Sequence[str]) -> list[str]:
    """`httpx`, takes a poll that fails for a lost task and pays for another."""
    with httpx.Client(base_url=base_url, headers={"xi-api-key": key}, timeout=30) as client:
        return [_sends_again(client, prompt) for prompt in prompts]


def _sends_again(client: httpx.Client, prompt: str) -> str:
    task_id = ""
    for _ in range(POLLS_AT_MOST):
        if not task_id:
            task_id = client.post("/v1i/task/generate-image", json={"prompt": prompt, "model_id": MODEL}).json()[
                "task_id"
            ]
        answer = client.get(f"/v1/task/{task_id}")
        task = answer.json()
        if task.get("status") == "done":
            return str(task["metadata"]["result_images"][0]["imageUrl"])
        if not answer.is_success or task.get("success") is False:
            task_id = ""
        pause()
    raise TimeoutError


def own_queue(base_url: str, key: str, prompts: Sequence[str]) -> list[str]:
    """`urllib`, sends everything at once and keeps what is answered with 429 in a queue of its own."""
    waiting, open_tasks, found = deque(prompts), dict[str, str](), dict[str, str]()
    for _ in range(POLLS_AT_MOST):
        while waiting and (task_id := _created_or_full(base_url, key, waiting[0])):
            open_tasks[task_id] = waiting.popleft()
        for task_id, prompt in list(open_tasks.items()):
            task = _polled(base_url, key, task_id)
            if task.get("status") == "done":
                found[prompt] = task["metadata"]["result_images"][0]["imageUrl"]
                del open_tasks[task_id]
        if not waiting and not open_tasks:
            return [found[prompt] for prompt in prompts]
        pause()
    raise TimeoutError


def _created_or_full(base_url: str, key: str, prompt: str) -> str | None:
    wish = urllib.parse.urlencode({"prompt": prompt, "model_id": MODEL}).encode()
    try:
        return str(_asked(f"{base_url}/v1i/task/generate-image", key, wish)["task_id"])
    except HTTPError as exc:
        exc.close()
        if exc.code != 429:
            raise
        return None


def _polled(base_url: str, key: str, task_id: str) -> dict[str, Any]:
    try:
        return _asked(f"{base_url}/v1/task/{task_id}", key)
    except HTTPError as exc:
        exc.close()
        return {}


def with_references(base_url: str, key: str, prompts: Sequence[str]) -> list[str]:
    """`requests`, multipart with two files that have neither a type nor an extension."""
    return [_with_references(base_url, {"xi-api-key": key}, prompt) for prompt in prompts]


def _with_references(base_url: str, headers: dict[str, str], prompt: str) -> str:
    form = {"prompt": f"{prompt}: @img1 in the manner of @img2", "model_id": MODEL, "generations_count": "1"}
    files = [("assets", ("first", picture())), ("assets", ("second", picture("JPEG")))]
    created = requests.post(
        f"{base_url}/v1i/task/generate-image", data=form, files=files, headers=headers, timeout=30
    ).json()
    for _ in range(POLLS_AT_MOST):
        task = requests.get(f"{base_url}/v1/task/{created['task_id']}", headers=headers, timeout=30).json()
        if task.get("status") == "done":
            image = task["metadata"]["result_images"][0]
            assert (image["mimeType"], image["width"] > 0, image["height"] > 0) == ("image/png", True, True)
            return str(image["imageUrl"])
        pause()
    raise TimeoutError


CLIENTS: dict[str, Client] = {
    "urlencoded": urlencoded,
    "flat JSON": flat_json,
    "polls /full and dies on any non-200": full_poller,
    "polls /v3 with a bare key": v3_poller,
    "sends again whenever a poll fails": sends_again,
    "its own queue for 429": own_queue,
    "references without type and extension": with_references,
}
