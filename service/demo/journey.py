"""Drives one image from its price to the notification, as a client team would, and tells each step."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from service.demo.client import Client, download
from service.demo.ending import DemoFailed
from service.demo.ledger import Ledger
from service.demo.pictures import checked_size, reference_png
from service.demo.receiver import Notification, Receiver, Refused
from service.demo.screen import duration, heading, shown, step

PREFERRED_MODEL = "bytedance-seedream-4.5"
PREFERRED_RATIO = "16:9"
PROMPT = "@img1 as a vintage travel poster, oil on canvas"
SUBSCRIPTION = "receiver of the demo"
WAIT_S = 5
NOTIFICATION_TIMEOUT_S = 30.0
FINAL_STATES = frozenset({"succeeded", "failed", "canceled"})
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}


@dataclass(frozen=True)
class Journey:
    """What the journey goes through. `ledger` is the sandbox's own account of it, None with another image API."""

    client: Client
    receiver: Receiver
    ledger: Ledger | None
    image_dir: Path
    patience_s: float

    def run(self) -> None:
        """All steps. Raises DemoFailed at the first that does not do what it promises."""
        heading("One image, from price to notification")
        began_s = time.perf_counter()
        request = self._choose_model()
        quoted_credits = self._quote(request)
        task_id = self._create(request)
        task = self._await_end(task_id, quoted_credits)
        self._await_notification(task)
        self._fetch(task)
        print(f"\n  From the list of models to the picture in {duration(time.perf_counter() - began_s)}.", flush=True)

    def _choose_model(self) -> dict[str, Any]:
        with step("1 models") as line:
            models = self.client.get("/api/v1/models")["items"]
            able = {model["model_id"]: model for model in models if model["supports_images"]}
            if not able:
                raise DemoFailed(f"none of the {len(models)} models takes a reference image")
            model = able.get(PREFERRED_MODEL) or next(iter(able.values()))
            line.text = f"{len(models)} on sale; this one goes to {model['model_id']}"
        parameters = {"aspect_ratio": PREFERRED_RATIO} if PREFERRED_RATIO in (model["aspect_ratios"] or ()) else {}
        return {"model_id": model["model_id"], "generations_count": 1, "model_parameters": parameters}

    def _quote(self, request: Mapping[str, Any]) -> float:
        with step("2 quote") as line:
            quote = self.client.post("/api/v1/quotes", {**request, "asset_count": 1}, 200)
            line.text = f"{quote['credits']:g} credits for one image with one reference image"
        return float(quote["credits"])

    def _create(self, request: Mapping[str, Any]) -> str:
        """The task's id; a form carries numbers and objects as text."""
        fields = {
            "prompt": PROMPT,
            "model_id": str(request["model_id"]),
            "generations_count": str(request["generations_count"]),
            "model_parameters": json.dumps(request["model_parameters"]),
        }
        with step("3 task") as line:
            task = self.client.post_form("/api/v1/tasks", fields, reference_png(), self.patience_s)
            line.text = f"202, {task['state']}: {task['id']}"
        return str(task["id"])

    def _await_end(self, task_id: str, quoted_credits: float) -> dict[str, Any]:
        with step("4 callback") as line:
            task = self._final_task(task_id)
            if task["state"] != "succeeded":
                raise DemoFailed(f"task {task_id} ended as {task['state']}: {json.dumps(task['error'])}")
            charged = f"{task['credits']:g} credits" if task["credits"] is not None else "an unknown amount"
            line.text = f"{task['state']}, charged {charged}"
            if self.ledger:
                line.text = f"{self.ledger.confirm(task, quoted_credits)}: {line.text} once"
        return task

    def _final_task(self, task_id: str) -> dict[str, Any]:
        deadline_s = time.monotonic() + self.patience_s
        while True:
            task: dict[str, Any] = self.client.get(f"/api/v1/tasks/{task_id}", {"wait": WAIT_S})
            if task["state"] in FINAL_STATES:
                return task
            if time.monotonic() > deadline_s:
                raise DemoFailed(f"task {task_id} is still {task['state']} after {self.patience_s:g} s")

    def _await_notification(self, task: Mapping[str, Any]) -> None:
        with step("5 notification") as line:
            notification = self._notification_of(task["id"])
            if notification.type != f"task.{task['state']}":
                raise DemoFailed(f"the notification says {notification.type}, but the task is {task['state']}")
            after_s = (notification.arrived_at - datetime.fromisoformat(task["ended_at"])).total_seconds()
            when = f"{duration(after_s)} after the task's end"
            line.text = f"{notification.type}, {when}; signature verified by standardwebhooks"

    def _notification_of(self, task_id: str) -> Notification:
        deadline_s = time.monotonic() + NOTIFICATION_TIMEOUT_S
        while arrived := self.receiver.next(deadline_s - time.monotonic()):
            if isinstance(arrived, Refused):
                raise DemoFailed(f"a notification came whose signature does not verify: {arrived.reason}")
            if arrived.task["id"] == task_id:
                return arrived
        raise DemoFailed(f"no notification of task {task_id} came within {NOTIFICATION_TIMEOUT_S:g} s")

    def _fetch(self, task: Mapping[str, Any]) -> None:
        with step("6 picture") as line:
            announced = task["images"][0]
            content = download(announced["url"], trust_env=self.ledger is None)
            kind, width, height = checked_size(content, announced)
            path = self.image_dir / f"{task['id']}.{SUFFIXES.get(kind, kind.lower())}"
            path.write_bytes(content)
            line.text = f"{kind}, {width}x{height} as announced: {shown(path)}"


@contextmanager
def subscribed(client: Client, receiver: Receiver) -> Iterator[None]:
    """Have the ends of tasks told to the receiver for as long as the block runs; clears up after a killed run."""
    for left in client.get("/api/v1/subscriptions", {"limit": 100})["items"]:
        if left["description"] == SUBSCRIPTION:
            client.delete(f"/api/v1/subscriptions/{left['id']}")
    made = client.post("/api/v1/subscriptions", {"url": receiver.url, "description": SUBSCRIPTION}, 201)
    receiver.trust(made["secret"])
    try:
        yield
    finally:
        with suppress(DemoFailed):  # the gateway may be what failed
            client.delete(f"/api/v1/subscriptions/{made['id']}")
