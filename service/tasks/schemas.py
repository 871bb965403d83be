"""What a task is to its caller: the request that makes one, and the one JSON form that shows it."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from service.tasks.state import State
from service.uploads.spool import Asset


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A checked request for images: what will be sent upstream, and what the caller wants to find on the task."""

    prompt: str
    model_id: str
    generations_count: int = 1
    model_parameters: dict[str, Any] = field(default_factory=dict)
    client_reference: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    callback_url: str | None = None
    callback_format: Literal["standard", "upstream"] = "standard"  # the bodies that `callback_url` gets
    deadline_s: float | None = None  # ended as failed when it has no end by then
    max_credits: Decimal | None = None
    priority: Literal["normal", "low"] = "normal"
    assets: tuple[Asset, ...] = ()


class TaskAsset(BaseModel):
    """A reference image as it was uploaded; the n-th one is `@img<n>` in the prompt."""

    filename: str
    content_type: str = Field(description="Found from the bytes, not from what the upload claimed.")
    size_bytes: int
    sha256: str


class TaskImage(BaseModel):
    """A finished image."""

    id: str | None
    url: str
    preview_url: str | None
    mime_type: str | None
    width: int | None = Field(description="Pixels.")
    height: int | None = Field(description="Pixels.")


class TaskError(BaseModel):
    """Why a task failed; `code` never changes its meaning, `message` is for people."""

    code: str
    message: str


class Task(BaseModel):
    """One request for images and what became of it."""

    id: UUID
    state: State
    version: int = Field(description="Grows with every change; it is the ETag.")
    model_id: str
    prompt: str
    generations_count: int
    model_parameters: dict[str, Any]
    assets: list[TaskAsset]
    client_reference: str | None
    metadata: dict[str, Any]
    progress: int | None = Field(description="Percent; may stay null for the whole run.")
    images: list[TaskImage]
    estimated_credits: float | None = Field(description="What the image API said it would cost.")
    credits: float | None = Field(
        description="What it cost, once it has ended: 0 when nothing was charged or all was given back, null when that "
        "is not known. A late result may correct it."
    )
    max_credits: float | None = Field(description="The most that the request allowed it to cost.")
    priority: Literal["normal", "low"]
    error: TaskError | None
    attempt: int = Field(description="How often the paid call was begun; above 1 only when one was provably not taken.")
    upstream_task_id: str | None
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime | None
    ended_at: datetime | None
    deadline_at: datetime | None = Field(description="When it is failed if it has no end by then.")
