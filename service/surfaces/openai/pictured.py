"""What a task came to, in OpenAI's words: its pictures with what was chosen and what it cost, or why there are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from service.surfaces.openai.errors import TaskFailed
from service.tasks.store import StoredTask


@dataclass(frozen=True, slots=True)
class Pictured:
    """A task that has succeeded: `facts` are the members of the answer beside the pictures, `urls` the pictures."""

    task_id: UUID
    facts: Mapping[str, object]
    urls: Sequence[str]


def pictured(task: StoredTask, quality: str | None) -> Pictured:
    """The pictures of a final task. Raises TaskFailed when it has none."""
    shown = orjson.loads(task.body)
    if task.state != "succeeded" or not shown["images"]:
        raise _failed(task, shown)
    first = shown["images"][0]
    facts = {
        "created": int(datetime.fromisoformat(shown["ended_at"]).timestamp()),
        "size": f"{first['width']}x{first['height']}" if first["width"] and first["height"] else None,
        "quality": quality,
        "output_format": _format(first["mime_type"]),
        "model": shown["model_id"],
        "model_parameters": shown["model_parameters"],
        "credits": shown["credits"],
        "task_id": shown["id"],
    }
    return Pictured(task.id, facts, [image["url"] for image in shown["images"]])


def _format(mime_type: str | None) -> str | None:
    return mime_type.rpartition("/")[2] if mime_type else None


def _failed(task: StoredTask, shown: Mapping[str, object]) -> TaskFailed:
    error = shown["error"] if isinstance(shown["error"], Mapping) else {}
    reason = error.get("message") or ("it was canceled" if task.state == "canceled" else "there are no pictures")
    code = error.get("code") or ("canceled" if task.state == "canceled" else "task_failed")
    detail = f"Task {task.id} has ended without pictures: {reason}. {_cost(shown['credits'])}"
    return TaskFailed(detail, task_id=task.id, task_code=str(code))


def _cost(credits: object) -> str:
    if credits is None:
        return "What it cost is not known."
    return f"It cost {credits} credits." if credits else "Nothing was charged."
