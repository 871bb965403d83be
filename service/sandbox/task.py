"""One task of the sandbox: what was ordered, how it stands, and how the API and the ledger show it."""

import asyncio
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from service.sandbox.moods import Moods
from service.sandbox.pictures import Sketch, size_px

Status = Literal["doing", "done", "error", "deleted"]


@dataclass(frozen=True, slots=True)
class Asset:
    """An uploaded file, of which only this is kept; mime_type is what its first bytes say, empty if no image."""

    bytes: int
    sha256: str
    mime_type: str
    filename: str


@dataclass(frozen=True, slots=True)
class Order:
    """A valid create request and its price."""

    prompt: str
    model_id: str
    generations_count: int
    model_parameters: dict[str, Any]
    assets: tuple[Asset, ...]
    receive_url: str
    credits: int
    aspect_ratio: str | None
    resolution: str | None


@dataclass(slots=True)
class Task:
    """An accepted order. `due_in_s` is None for a stuck task; `started_s` is on the event loop's clock."""

    task_id: str
    order: Order
    base_url: str
    received_at: datetime
    started_s: float
    due_in_s: float | None
    fate: Literal["done", "error"]
    updated_at: datetime
    status: Status = "doing"
    error_message: str | None = None
    refunded: int = 0
    ended_at: datetime | None = None
    polls: int = 0
    callbacks_sent: int = 0
    callback_statuses: list[int | str] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    @property
    def open(self) -> bool:
        """Whether it still counts against the cap of active tasks."""
        return self.status == "doing"

    def sketch(self, number: int) -> Sketch:
        """Picture `number`, from 1, of this task."""
        order = self.order
        width, height = size_px(order.aspect_ratio, order.resolution)
        caption = f"{order.model_id}  {width}x{height}  {number}/{order.generations_count}"
        labels = tuple(
            f"@img{place} {asset.mime_type.removeprefix('image/')} {max(1, asset.bytes // 1024)} KB"
            for place, asset in enumerate(order.assets, 1)
        )
        return Sketch(width, height, order.prompt, caption, labels)

    def result_images(self) -> list[dict[str, Any]]:
        """What metadata.result_images holds once it is done; sizes are those of the files served."""
        width, height = size_px(self.order.aspect_ratio, self.order.resolution)
        stem = f"{self.base_url}/images/{self.task_id}"
        return [
            {
                "id": f"img_{self.task_id[:8]}_{number}",
                "imageUrl": f"{stem}/{number}.png?dl=1",
                "previewUrl": f"{stem}/{number}_preview.png",
                "mimeType": "image/png",
                "width": width,
                "height": height,
            }
            for number in range(1, self.order.generations_count + 1)
        ]


def iso(moment: datetime | None) -> str | None:
    """A moment as the API writes it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def task_object(task: Task, moods: Moods, now_s: float) -> dict[str, Any]:
    """The task as GET /v1/task/:id and the callback show it."""
    doing = task.open
    words = {"doing": "doing", "done": moods.done_word, "error": moods.error_word, "deleted": "deleted"}
    return {
        "id": task.task_id,
        "created_at": iso(task.received_at),
        "updated_at": iso(task.updated_at),
        "type": "imagen2",
        "status": words[task.status],
        "progress": _progress(task, moods, now_s),
        "credit_cost": task.order.credits,
        "error_message": moods.doing_error_message if doing else task.error_message,
        "metadata": {} if doing and not moods.metadata_while_doing else _metadata(task),
    }


def _progress(task: Task, moods: Moods, now_s: float) -> int | None:
    if task.status == "done":
        return 100
    if moods.progress == "null" or task.status != "doing":
        return None
    expected_s = task.due_in_s or 60.0
    return min(99, int(100 * (now_s - task.started_s) / expected_s))


def _metadata(task: Task) -> dict[str, Any]:
    order = task.order
    metadata: dict[str, Any] = {
        "prompt": order.prompt,
        "modelId": order.model_id,
        "generationsCount": order.generations_count,
        "modelParameters": order.model_parameters,
        "providerCreditCost": order.credits * 4 // 5,
    }
    if task.status == "done":
        images = task.result_images()
        metadata |= {"result_images": images, "audio_url": images[0]["imageUrl"]}
    return metadata


def ledger_entry(task: Task) -> dict[str, Any]:
    """The task as the ledger shows it: what was asked, what was charged, how it ended, who was told."""
    order = task.order
    return {
        "task_id": task.task_id,
        "received_at": iso(task.received_at),
        "receive_url": order.receive_url or None,
        "prompt": order.prompt,
        "model_id": order.model_id,
        "generations_count": order.generations_count,
        "model_parameters": order.model_parameters,
        "assets": [asdict(asset) for asset in order.assets],
        "credits": order.credits,
        "refunded": task.refunded,
        "open": task.open,
        "status": task.status,
        "error_message": task.error_message,
        "ended_at": iso(task.ended_at),
        "polls": task.polls,
        "callbacks_sent": task.callbacks_sent,
        "callback_statuses": task.callback_statuses,
    }
